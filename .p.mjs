import { systemClock } from '@sluice/core'
import { fileSource } from './libs/core/dist/input/file-source.js'
const N=1_000_000
const huge={ stats:0, async *list(){ for(let i=0;i<N;i++) yield {name:`file-${i}`,kind:'file'} }, stat(p){ if(p==='/in') return Promise.resolve({kind:'directory'}); huge.stats++; return Promise.resolve({kind:'file',sizeBytes:10,modifiedMs:1000+(huge.stats%1000)}) } }
const s=fileSource({fileSystem:huge,directory:'/in',options:{newFilesOnly:false},read(){}})
await s.start({clock:systemClock,logger:console,signal:new AbortController().signal})
for(let i=0;i<3;i++){ let t=performance.now(); await s.plan(Date.now()); console.log((performance.now()-t).toFixed(0)) }
