/**
 * When a cron schedule fires next, in a time zone. The schedule has passed validation (`api/validation/cron.ts`).
 * Source: the robfig/cron v3 format that batch/v1 documents: day of month and day of week are alternatives when both are restricted.
 */
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const descriptors: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0', '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
};
const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** A schedule that does not fire for this long never does (30 February). */
const horizonYears = 5;

interface Field { values: ReadonlySet<number>; any: boolean }
export interface Schedule { nextAfter(ms: number): number | undefined }

function parseField(text: string, low: number, high: number, names: readonly string[] = [], base = 0): Field {
  const number = (word: string) => { const at = names.indexOf(word.toLowerCase()); return at >= 0 ? at + base : Number(word); };
  const values = new Set<number>();
  let any = false;
  for (const piece of text.split(',')) {
    const [range = '', step] = piece.split('/');
    let [from, to] = [low, high];
    if (range === '*' || range === '?') any ||= step === undefined || step === '1';
    else {
      const [first = '', last] = range.split('-');
      from = number(first);
      to = last === undefined ? (step === undefined ? from : high) : number(last);
    }
    for (let value = from; value <= to; value += Number(step ?? 1)) values.add(value);
  }
  return { values, any };
}

const durationUnits: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, 'µs': 1e-3, ms: 1, s: 1000, m: minuteMs, h: 60 * minuteMs };

export function parseSchedule(text: string, timeZone = 'UTC'): Schedule {
  const [, inline, rest] = /^(?:(?:CRON_)?TZ=(\S+)\s+)?(.*)$/.exec(text.trim())!;
  const spec = descriptors[rest!] ?? rest!;
  if (spec.startsWith('@every ')) {
    const everyMs = Math.max(1000, [...spec.slice(7).matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)].reduce((sum, [, count, unit]) => sum + Number(count) * durationUnits[unit!]!, 0));
    return { nextAfter: (ms) => Math.floor((ms + everyMs) / 1000) * 1000 };
  }
  const [minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = ''] = spec.split(/\s+/);
  const fields = { minute: parseField(minute, 0, 59), hour: parseField(hour, 0, 23), dayOfMonth: parseField(dayOfMonth, 1, 31), month: parseField(month, 1, 12, months, 1), dayOfWeek: parseField(dayOfWeek, 0, 6, days) };
  const zone = zoneOffsets(inline ?? timeZone);
  const dayMatches = (local: Date) => {
    const first = fields.dayOfMonth.values.has(local.getUTCDate());
    const second = fields.dayOfWeek.values.has(local.getUTCDay());
    return fields.dayOfMonth.any || fields.dayOfWeek.any ? first && second : first || second;
  };
  return {
    nextAfter(ms) {
      const end = ms + horizonYears * 366 * dayMs;
      // `local` counts as if the zone's wall clock were UTC.
      let local = Math.floor((ms + zone(ms)) / minuteMs) * minuteMs + minuteMs;
      while (local < end + dayMs) {
        const date = new Date(local);
        if (!fields.month.values.has(date.getUTCMonth() + 1)) local = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
        else if (!dayMatches(date)) local = Math.floor(local / dayMs) * dayMs + dayMs;
        else if (!fields.hour.values.has(date.getUTCHours())) local = Math.floor(local / (60 * minuteMs)) * 60 * minuteMs + 60 * minuteMs;
        else if (!fields.minute.values.has(date.getUTCMinutes())) local += minuteMs;
        else {
          const at = local - zone(local - zone(local));
          // Not on the wall clock when it springs forward; and not twice when it falls back.
          if (at + zone(at) === local && at > ms) return at;
          local += minuteMs;
        }
      }
      return undefined;
    },
  };
}

/** How far the zone's wall clock is ahead of UTC at an instant, ms. Throws RangeError for a zone that does not exist. */
function zoneOffsets(timeZone: string): (ms: number) => number {
  if (timeZone === 'UTC' || timeZone === 'Etc/UTC') return () => 0;
  const format = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' });
  return (ms) => {
    const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(part.year!, part.month! - 1, part.day, part.hour, part.minute, part.second) - Math.floor(ms / 1000) * 1000;
  };
}
