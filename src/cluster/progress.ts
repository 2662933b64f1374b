/** Tells a person what `up` is doing: a line per stage, with what came of it and how long it took. */
import type { Clock } from '../base/clock.ts';

export type Stage = <T>(name: string, run: () => Promise<{ text: string; value: T }>) => Promise<T>;

/** On a terminal the running stage shows as it runs; elsewhere only its result is printed. */
export function stages(clock: Clock, out: NodeJS.WriteStream): Stage {
  return async (name, run) => {
    const started = clock.monotonic();
    if (out.isTTY) out.write(`  … ${name.padEnd(12)}`);
    const clear = out.isTTY ? '\r\x1b[K' : '';
    try {
      const { text, value } = await run();
      out.write(`${clear}  ✓ ${name.padEnd(12)} ${text.padEnd(58)} ${formatSeconds(clock.monotonic() - started)}\n`);
      return value;
    } catch (err) {
      out.write(`${clear}  ✗ ${name}\n`);
      throw err;
    }
  };
}

export function formatSeconds(ms: number): string { return `${(ms / 1000).toFixed(2)} s`; }
