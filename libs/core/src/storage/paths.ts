/** Paths with `/`, local or URL-like (`s3://bucket/key`), and which file system a path belongs to. */
import { fileURLToPath } from 'node:url'
import { requireArgument, SluiceError } from '../errors.js'
import type { FileSystem } from './file-system.js'
import { nodeFileSystem } from './node-file-system.js'

// At least two letters: `C:/data` is a drive of Windows.
const SCHEME = /^([a-z][a-z0-9+.-]+):\/\//i
// What stays when all names are taken off a path: `/`, `s3://bucket`, `C:/`.
const ROOT = /^(?:[a-z][a-z0-9+.-]+:\/\/[^/]*|[a-z]:\/|\/)/i

/** The scheme of a URL-like path in lower case, e.g. `s3`; undefined for a local path. */
export function schemeOf(path: string): string | undefined {
  return SCHEME.exec(path)?.[1]?.toLowerCase()
}

/** `base` and the names below it, with single slashes between. Empty names are left out; `..` is not resolved. */
export function joinPath(base: string, ...names: readonly string[]): string {
  const parts = names.map((name) => name.replace(/^\/+|\/+$/g, '')).filter((name) => name !== '')
  if (base === '') return parts.join('/')
  if (parts.length === 0) return base
  const folder = trimmed(base)
  return `${folder}${folder.endsWith('/') ? '' : '/'}${parts.join('/')}`
}

/** The folder that `path` is in. The root of a disk, bucket or host is its own folder; that of a bare name is `.`. */
export function dirnameOf(path: string): string {
  const { root, names } = split(path)
  const folder = names.slice(0, -1).join('/')
  if (folder === '') return root === '' ? '.' : root
  return root === '' ? folder : joinPath(root, folder)
}

/** The last name of `path`, without the slashes after it; empty for a root. */
export function basenameOf(path: string): string {
  return split(path).names.at(-1) ?? ''
}

/**
 * What a path names wherever its server is reached: without scheme and host. The first name of an `s3://` URL is no host but the
 * bucket, and stays.
 */
export function placeOf(path: string): string {
  const scheme = schemeOf(path)
  if (scheme === undefined) return path
  const rest = path.slice(path.indexOf('://') + 3)
  return /^s3[an]?$/.test(scheme) ? rest : rest.replace(/^[^/]*/, '')
}

function split(path: string): { readonly root: string; readonly names: readonly string[] } {
  const root = ROOT.exec(path)?.[0] ?? ''
  return {
    root,
    names: path
      .slice(root.length)
      .split('/')
      .filter((name) => name !== ''),
  }
}

/** Without slashes at the end, but never shorter than its root. */
function trimmed(path: string): string {
  const root = ROOT.exec(path)?.[0] ?? ''
  return root + path.slice(root.length).replace(/\/+$/, '')
}

/** A file system for the URLs of one scheme. It is given whole paths, scheme included. */
export interface SchemeFileSystem {
  /** Without `://`, e.g. `s3`. */
  readonly scheme: string
  readonly fileSystem: FileSystem
}

export interface FileSystemsOptions {
  /** One for each scheme that is used. Nothing registers itself by being imported. */
  readonly fileSystems?: readonly SchemeFileSystem[] | undefined
  /** For paths without a scheme and for `file://`. Default: the disk of this machine. */
  readonly local?: FileSystem | undefined
}

/** A path together with the file system that it is given to. */
export interface ResolvedPath {
  readonly fileSystem: FileSystem
  readonly path: string
}

const PACKAGES: Readonly<Record<string, string>> = {
  hdfs: '@sluice/sink-hdfs',
  webhdfs: '@sluice/sink-hdfs',
  s3: '@sluice/sink-hdfs/s3',
  s3a: '@sluice/sink-hdfs/s3',
}

/** Finds the file system of a path by its scheme. */
export class FileSystems {
  readonly #local: FileSystem
  readonly #bySchemes = new Map<string, FileSystem>()

  /** Throws `ARGUMENT_INVALID` for a scheme given twice, `CONTRACT_VERSION` for a file system of another version. */
  constructor(options: FileSystemsOptions = {}) {
    this.#local = requireFileSystem(options.local ?? nodeFileSystem())
    for (const { scheme, fileSystem } of options.fileSystems ?? []) this.#register(scheme, fileSystem)
  }

  /**
   * The file system of `path` and the path to give to it: a `file://` URL becomes a local path, every other path stays as
   * it is. Throws `FILE_SYSTEM_UNKNOWN`.
   */
  resolve(path: string): ResolvedPath {
    const scheme = schemeOf(path)
    if (scheme === undefined) return { fileSystem: this.#local, path }
    const fileSystem = this.#bySchemes.get(scheme)
    if (fileSystem !== undefined) return { fileSystem, path }
    if (scheme === 'file') return { fileSystem: this.#local, path: localPath(path) }
    throw unknownScheme(scheme, path)
  }

  #register(scheme: string, fileSystem: FileSystem): void {
    const name = scheme.toLowerCase()
    requireArgument(
      schemeOf(`${name}://`) === name,
      'file-systems',
      `"${scheme}" is no scheme; give letters and digits without "://", e.g. "s3"`,
    )
    requireArgument(!this.#bySchemes.has(name), 'file-systems', `the scheme "${name}" is given twice; give it once`)
    this.#bySchemes.set(name, requireFileSystem(fileSystem))
  }
}

function requireFileSystem(fileSystem: FileSystem): FileSystem {
  const version: string = fileSystem['~sluice']
  if (version === 'file-system/1') return fileSystem
  throw new SluiceError({
    code: 'CONTRACT_VERSION',
    component: 'file-systems',
    message: `${fileSystem.name} speaks ${version}, not file-system/1; install versions that belong together`,
  })
}

function localPath(url: string): string {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    const message = `${url} is no URL of a local file; write it as file:///folder/name`
    throw new SluiceError({ code: 'ARGUMENT_INVALID', component: 'file-systems', message, cause })
  }
}

function unknownScheme(scheme: string, path: string): SluiceError {
  const known = PACKAGES[scheme]
  const remedy =
    known === undefined
      ? `pass one in fileSystems: [{ scheme: '${scheme}', fileSystem }]`
      : `install ${known} and pass its file system in fileSystems`
  return new SluiceError({
    code: 'FILE_SYSTEM_UNKNOWN',
    component: 'file-systems',
    message: `no file system is known for ${path}; ${remedy}`,
  })
}
