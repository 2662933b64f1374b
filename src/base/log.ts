/** Structured logs, one JSON line each, by component. Levels: error, warn, info, debug, trace (`-v=4` is debug, `-v=6` trace). */
import { pino, type Logger as PinoLogger } from 'pino';

export type Logger = Pick<PinoLogger, 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'child' | 'level'>;

/** Writes to standard error, or to `file`. Never log a token, key or Secret. */
export function createLogger(component: string, options: { level?: string; file?: string } = {}): Logger {
  const destination = pino.destination({ dest: options.file ?? 2, sync: true, mkdir: true, mode: 0o600 });
  return pino({ level: options.level ?? 'info', base: { component }, timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) } }, destination);
}

export const silentLogger: Logger = pino({ level: 'silent' });
