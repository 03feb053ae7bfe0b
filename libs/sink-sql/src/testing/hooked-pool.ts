/** A pool of `pg` or `mysql2/promise` that tells of each statement before it is sent. */
export type Hook = (sql: string) => Promise<void>

type Query = (query: string | { readonly text: string }, ...rest: unknown[]) => Promise<unknown>
type Client = { readonly query: Query }
type Pool = Readonly<Record<'connect' | 'getConnection', (() => Promise<Client>) | undefined>>

export function hooked(pool: unknown, hook: Hook): unknown {
  const { connect, getConnection } = pool as Pool
  const take = async (): Promise<Client> => {
    const client = (await (getConnection ?? connect)?.call(pool)) as Client
    return new Proxy(client, {
      get(target, name) {
        if (name !== 'query') {
          const found: unknown = Reflect.get(target, name, target)
          return typeof found === 'function' ? (found.bind(target) as unknown) : found
        }
        const query: Query = async (given, ...rest) => {
          await hook(typeof given === 'string' ? given : given.text)
          return target.query(given, ...rest)
        }
        return query
      },
    })
  }
  return { connect: take, getConnection: take }
}
