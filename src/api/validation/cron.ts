/** Is it a cron schedule? Five fields, names of months and weekdays, and the @ words. Source: the robfig/cron v3 format that batch/v1 documents. */

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
interface Bounds { low: number; high: number; names?: readonly string[]; nameBase?: number }
const fields: readonly Bounds[] = [{ low: 0, high: 59 }, { low: 0, high: 23 }, { low: 1, high: 31 }, { low: 1, high: 12, names: months, nameBase: 1 }, { low: 0, high: 6, names: days, nameBase: 0 }];
const descriptors = new Set(['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']);

/** What is wrong with it, or undefined. */
export function cronScheduleError(schedule: string): string | undefined {
  const spec = schedule.replace(/^(?:CRON_)?TZ=\S+\s+/, '').trim();
  if (spec.startsWith('@')) {
    if (descriptors.has(spec)) return undefined;
    if (/^@every (\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(spec)) return undefined;
    return spec.startsWith('@every ') ? `failed to parse duration ${spec}: time: invalid duration "${spec.slice(7)}"` : `unrecognized descriptor: ${spec}`;
  }
  const parts = spec === '' ? [] : spec.split(/\s+/);
  if (parts.length !== 5) return `expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`;
  for (const [i, part] of parts.entries()) {
    for (const piece of part.split(',')) {
      const problem = pieceError(piece, fields[i]!);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function pieceError(piece: string, bounds: Bounds): string | undefined {
  const [range = '', step, ...tooMany] = piece.split('/');
  if (tooMany.length > 0) return `too many slashes: ${piece}`;
  const ends = range.split('-');
  if (ends.length > 2) return `too many hyphens: ${piece}`;
  const value = (text: string): number | string => {
    const name = bounds.names?.indexOf(text.toLowerCase()) ?? -1;
    if (name >= 0) return name + bounds.nameBase!;
    return /^\d+$/.test(text) ? Number(text) : `failed to parse int from ${text}: strconv.Atoi: parsing "${text}": invalid syntax`;
  };
  let [low, high] = [bounds.low, bounds.high];
  if (range !== '*' && range !== '?') {
    const start = value(ends[0]!);
    if (typeof start === 'string') return start;
    const end = ends[1] === undefined ? (step === undefined ? start : bounds.high) : value(ends[1]);
    if (typeof end === 'string') return end;
    [low, high] = [start, end];
  }
  if (step !== undefined) {
    if (!/^\d+$/.test(step)) return `failed to parse int from ${step}: strconv.Atoi: parsing "${step}": invalid syntax`;
    if (Number(step) === 0) return `step of range should be a positive number: ${piece}`;
  }
  if (low < bounds.low) return `beginning of range (${low}) below minimum (${bounds.low}): ${piece}`;
  if (high > bounds.high) return `end of range (${high}) above maximum (${bounds.high}): ${piece}`;
  return low > high ? `beginning of range (${low}) beyond end of range (${high}): ${piece}` : undefined;
}
