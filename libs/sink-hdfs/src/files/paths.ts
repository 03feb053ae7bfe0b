/** Paths of servers: `scheme://authority/name/name`. */

export interface ServerPath {
  /** What stands between `://` and the next slash: a bucket, or the name of a cluster. */
  readonly authority: string
  readonly names: readonly string[]
}

/** The parts of a path, without empty names. A path without a scheme has an empty authority. */
export function parsePath(path: string): ServerPath {
  const [, authority = '', rest = ''] = /^(?:[a-z][a-z0-9+.-]*:\/\/([^/]*))?(.*)$/is.exec(path) ?? []
  return { authority, names: rest.split('/').filter((name) => name !== '') }
}

/** `base` and names below it. */
export function below(base: string, ...names: readonly string[]): string {
  return [base.replace(/\/+$/, ''), ...names].join('/')
}

/** The path of the folder that something is in. */
export function folderOf(path: string): string {
  return path.replace(/\/+[^/]+\/*$/, '')
}
