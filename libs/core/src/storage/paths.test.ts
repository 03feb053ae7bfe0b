import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import type { FileSystem } from './file-system.js'
import { memoryFileSystem } from './memory-file-system.js'
import { basenameOf, dirnameOf, FileSystems, joinPath, placeOf, schemeOf } from './paths.js'

test.each([
  ['s3://bucket/key', 's3'],
  ['HDFS://host:9000/x', 'hdfs'],
  ['file:///x', 'file'],
  ['/local/x', undefined],
  ['x', undefined],
  ['C:/data/x', undefined],
  ['C:\\data', undefined],
  ['c://data', undefined],
  ['time:12', undefined],
])('the scheme of %s is %s', (path, scheme) => {
  expect(schemeOf(path)).toBe(scheme)
})

test.each([
  ['out/wc', 'out/wc'],
  ['/out/wc', '/out/wc'],
  ['hdfs://namenode:8020/out/wc', '/out/wc'],
  ['hdfs:///out/wc', '/out/wc'],
  ['s3://bucket/out/wc', 'bucket/out/wc'],
  ['file:///out/wc', '/out/wc'],
])('E11: the place of %s, without its host, is %s', (path, place) => {
  expect(placeOf(path)).toBe(place)
})

test.each([
  [['/a', 'b', 'c'], '/a/b/c'],
  [['/a/', '/b/', 'c/'], '/a/b/c'],
  [['/', 'a'], '/a'],
  [['', 'a', 'b'], 'a/b'],
  [['a', '', 'b'], 'a/b'],
  [['s3://bucket', 'key'], 's3://bucket/key'],
  [['s3://bucket/', 'key'], 's3://bucket/key'],
  [['s3://bucket/x//', 'a/b'], 's3://bucket/x/a/b'],
  [['C:/', 'x'], 'C:/x'],
  [['.', 'x'], './x'],
  [['/a/'], '/a/'],
])('%j joined is %s', (parts, joined) => {
  const [base = '', ...names] = parts
  expect(joinPath(base, ...names)).toBe(joined)
})

test.each([
  ['/a/b', '/a', 'b'],
  ['/a/b/', '/a', 'b'],
  ['/a', '/', 'a'],
  ['/', '/', ''],
  ['a', '.', 'a'],
  ['a/b', 'a', 'b'],
  ['s3://bucket/key', 's3://bucket', 'key'],
  ['s3://bucket/x/key', 's3://bucket/x', 'key'],
  ['s3://bucket', 's3://bucket', ''],
  ['C:/x', 'C:/', 'x'],
])('%s is in folder %s under the name %s', (path, folder, name) => {
  expect(dirnameOf(path)).toBe(folder)
  expect(basenameOf(path)).toBe(name)
})

test('a path is given to the file system of its scheme, whole; a local one to the local disk', () => {
  const s3 = memoryFileSystem()
  const local = memoryFileSystem()
  const systems = new FileSystems({ fileSystems: [{ scheme: 'S3', fileSystem: s3 }], local })
  expect(systems.resolve('s3://bucket/key')).toEqual({ fileSystem: s3, path: 's3://bucket/key' })
  expect(systems.resolve('s3://bucket/key').fileSystem).toBe(s3)
  expect(systems.resolve('out/x').fileSystem).toBe(local)
  expect(systems.resolve('file:///out/a%20b')).toEqual({ fileSystem: local, path: '/out/a b' })
})

test('without options local paths belong to the disk of this machine', () => {
  expect(new FileSystems().resolve('/x').fileSystem.name).toBe('local disk')
})

test.each([
  ['hdfs://host/x', 'install @sluice/sink-hdfs and'],
  ['s3://bucket/x', 'install @sluice/sink-hdfs/s3 and'],
  ['gs://bucket/x', "fileSystems: [{ scheme: 'gs'"],
])('an unknown scheme is an error with its remedy: %s', (path, remedy) => {
  const error = thrownBy(() => new FileSystems().resolve(path))
  expect(isSluiceError(error, 'FILE_SYSTEM_UNKNOWN')).toBe(true)
  expect(String(error)).toContain(path)
  expect(String(error)).toContain(remedy)
})

test('a scheme given twice or written with slashes, and another version of the contract, are refused', () => {
  const entry = { scheme: 's3', fileSystem: memoryFileSystem() }
  const other = { name: 'other', '~sluice': 'file-system/2' } as unknown as FileSystem
  const codes = [
    thrownBy(() => new FileSystems({ fileSystems: [entry, entry] })),
    thrownBy(() => new FileSystems({ fileSystems: [{ ...entry, scheme: 's3://' }] })),
    thrownBy(() => new FileSystems({ local: other })),
  ].map((error) => isSluiceError(error) && error.code)
  expect(codes).toEqual(['ARGUMENT_INVALID', 'ARGUMENT_INVALID', 'CONTRACT_VERSION'])
})

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
