/**
 * Runs `nft`: whole transactions on standard input, and lists for tests. One process per transaction: at 5,000 chains with
 * 250,000 map entries it takes about 30 ms, nearly all of it nft reading the names in the table, which a long-lived
 * `nft -i` repeats after every change too. Calls on one `Nft` run one after the other. `nft-table.ts` decides what to write.
 */
import { tryExec } from './exec.ts';
import type { Json } from './json.ts';

/** The kernel takes a first sync of 250,000 entries in a few seconds; on a busy machine more. */
const timeoutMs = 120_000;

export type NftFailure = 'missing' | 'permission' | 'rejected';

export class NftError extends Error {
  /** `missing`: no nft program; `permission`: not allowed to change nftables here; `rejected`: the kernel or nft refused the script. */
  readonly failure: NftFailure;
  constructor(failure: NftFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}

export interface Nft {
  /** One transaction: all of it takes effect, or none. Throws NftError. */
  apply(script: string, signal?: AbortSignal): Promise<void>;
  /** What nft prints for a script of `list` commands. Throws NftError. */
  list(script: string, signal?: AbortSignal): Promise<string>;
  /** `nft -j list …`, parsed. */
  listJson(script: string, signal?: AbortSignal): Promise<Json>;
}

export interface NftOptions {
  /** A network namespace: a name under /run/netns, or an absolute path such as /proc/PID/ns/net. Default: our own. */
  netns?: string | undefined;
  /** Default 'nft', from PATH. */
  binary?: string | undefined;
}

/** The command and arguments that run `argv` inside a network namespace (as is without one). */
export function inNetns(netns: string | undefined, argv: readonly [string, ...string[]]): readonly [string, ...string[]] {
  if (netns === undefined) return argv;
  return ['nsenter', `--net=${netns.startsWith('/') ? netns : `/run/netns/${netns}`}`, '--', ...argv];
}

export function createNft({ netns, binary = 'nft' }: NftOptions = {}): Nft {
  let last: Promise<unknown> = Promise.resolve();
  const run = (args: readonly string[], input: string, signal?: AbortSignal): Promise<string> => {
    const call = last.catch(() => {}).then(async () => {
      const [command, ...rest] = inNetns(netns, [binary, ...args, '-f', '-']);
      let result;
      try {
        result = await tryExec(command, rest, { input, timeoutMs, ...(signal ? { signal } : {}) });
      } catch (err) {
        if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err;
        throw new NftError('missing', `the program ${command} is not installed: install the packages nftables and util-linux`, { cause: err });
      }
      if (result.code === 0) return result.stdout;
      const text = result.stderr.trim();
      if (/Operation not permitted|you must be root/.test(text)) {
        throw new NftError('permission', `nft may not change packet rules here: run as root, or with CAP_NET_ADMIN (${firstLine(text)})`);
      }
      if (/failed to execute|No such file or directory/.test(text) && text.startsWith('nsenter')) throw new NftError('missing', text);
      throw new NftError('rejected', `nft refused the transaction: ${text.slice(0, 2000)}`);
    });
    last = call;
    return call;
  };
  return {
    apply: async (script, signal) => { await run([], script, signal); },
    list: (script, signal) => run([], script, signal),
    listJson: async (script, signal) => JSON.parse(await run(['-j'], script, signal)) as Json,
  };
}

function firstLine(text: string): string { return text.split('\n', 1)[0]!; }
