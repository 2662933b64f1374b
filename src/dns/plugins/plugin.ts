/** A link of the chain that answers a query: it answers, or asks the next. `server.ts` lists the order. */
import type { Reply, Request } from '../message.ts';

export interface Plugin {
  readonly name: string;
  answer(request: Request, next: (request: Request) => Promise<Reply>): Promise<Reply>;
}

/** The chain as one function; past its end everything is refused. */
export function chain(plugins: readonly Plugin[]): (request: Request) => Promise<Reply> {
  return plugins.reduceRight<(request: Request) => Promise<Reply>>(
    (next, plugin) => (request) => plugin.answer(request, next),
    () => Promise.resolve({ rcode: 'REFUSED', answers: [] }),
  );
}
