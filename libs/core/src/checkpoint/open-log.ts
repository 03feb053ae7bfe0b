/** Opens a log in the layout that its file system allows. */
import type { InspectLog, OpenLog } from './entry-log.js'
import { inspectObjectLog, openObjectLog } from './object-log.js'
import { inspectSegmentLog, openSegmentLog } from './segment-log.js'

/** Segments that grow where the file system can append, else one immutable object for each group of entries. */
export const openEntryLog: OpenLog = (options, onEntry) =>
  options.fileSystem.supports.append ? openSegmentLog(options, onEntry) : openObjectLog(options, onEntry)

/** Reads a log of either layout and changes nothing. */
export const inspectEntryLog: InspectLog = (location, onEntry) =>
  location.fileSystem.supports.append ? inspectSegmentLog(location, onEntry) : inspectObjectLog(location, onEntry)
