/**
 * The file system port: everything the engine reads or writes goes through it, so that tests can run on simulated disks
 * and object stores can stand in for local ones.
 *
 * Paths are strings with `/`. A call resolves when the operation has taken effect for later calls of this process; what
 * survives a power loss is only what was synced: file contents by `sync`, names by `syncDirectory` of their folder.
 */

export interface FileStat {
  readonly kind: 'file' | 'directory'
  readonly sizeBytes: number
  /** Time of the last change of the contents, in ms since the epoch. */
  readonly modifiedMs: number
}

export interface DirectoryEntry {
  /** Name inside the folder, without path. */
  readonly name: string
  readonly kind: 'file' | 'directory'
}

/** What a back end can do beyond create, list, read and remove. If false, the operation throws `FILE_SYSTEM_UNSUPPORTED`. */
export interface FileSystemSupport {
  /** `openAppend`: a file grows, and `sync` makes what was appended durable. */
  readonly append: boolean
  /** `rename`: atomic, replaces what stands at the new name. */
  readonly rename: boolean
  /** `link`: gives a finished file a second name if and only if that name is free. */
  readonly link: boolean
}

/** A byte range: `[start, start + length)`, cut at the end of the file. */
export interface ByteRange {
  readonly start: number
  readonly length: number
}

/** A file being written at its end. Calls are made one at a time. */
export interface AppendFile {
  /** Bytes in the file, those not yet synced included. */
  readonly sizeBytes: number
  append(data: Uint8Array): Promise<void>
  /** Resolves when all that was appended survives a power loss. After a rejection the file must not be trusted or used again. */
  sync(): Promise<void>
  /** Closes without syncing. */
  close(): Promise<void>
}

export interface FileSystem {
  readonly '~sluice': 'file-system/1'
  /** For messages, e.g. `local disk`. */
  readonly name: string
  readonly supports: FileSystemSupport
  /**
   * Writes a whole new file. Rejects with `FILE_EXISTS` when the name is taken, whoever took it, and then leaves it as it
   * was. Contents are synced before the name is given unless `sync` is false. The folder must exist.
   */
  create(path: string, data: Uint8Array, options?: { readonly sync?: boolean | undefined }): Promise<void>
  /**
   * As `create`, from pieces and in bounded memory: the file has its name when all pieces are there, and none when they or the
   * signal fail. `identity` says what is written and by whom: where a file system can keep it, a name that was given to the same
   * identity before is no error, and one of another identity is `IDENTITY_CONFLICT` (E23). Left out where a file system has
   * nothing better than `openAppend` and `link`, or than `create` with all pieces.
   */
  createFrom?(
    path: string,
    pieces: AsyncIterable<Uint8Array>,
    options?: { readonly identity?: string | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<void>
  /** Opens for appending; makes an empty file where there is none. */
  openAppend(path: string): Promise<AppendFile>
  /** Reads the file or a range of it. Rejects with `FILE_NOT_FOUND`. A range past the end gives fewer bytes. */
  read(path: string, range?: ByteRange): Promise<Uint8Array>
  /** What stands at `path`, or undefined. */
  stat(path: string): Promise<FileStat | undefined>
  /** The entries of a folder, in no promised order, without reading all of them first. Rejects with `FILE_NOT_FOUND`. */
  list(path: string): AsyncIterable<DirectoryEntry>
  /** Makes the folder and its parents; no error where it exists. */
  makeDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Gives the file at `from` the further name `to`; rejects with `FILE_EXISTS` when `to` is taken. */
  link(from: string, to: string): Promise<void>
  /** Removes a file; no error where there is none. */
  remove(path: string): Promise<void>
  /** Removes a folder with all in it; no error where there is none. */
  removeTree(path: string): Promise<void>
  /** Makes created, renamed and removed names of this folder survive a power loss. */
  syncDirectory(path: string): Promise<void>
}
