import assert from 'node:assert/strict';
import test from 'node:test';
import { parseSchedule } from './cron.ts';

const cases: [schedule: string, after: string, next: string | undefined, zone?: string][] = [
  ['*/5 * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:05:00Z'],
  ['*/5 * * * *', '2026-01-01T00:04:59Z', '2026-01-01T00:05:00Z'],
  ['0 0 31 * *', '2026-01-31T00:00:00Z', '2026-03-31T00:00:00Z'],
  ['0 9 * * mon-fri', '2026-01-02T10:00:00Z', '2026-01-05T09:00:00Z'],
  ['0 0 13 * 5', '2026-02-01T00:00:00Z', '2026-02-06T00:00:00Z'],
  ['0 0 30 2 *', '2026-01-01T00:00:00Z', undefined],
  ['0 0 29 feb ?', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
  ['@hourly', '2026-01-01T00:00:30Z', '2026-01-01T01:00:00Z'],
  ['@every 90s', '2026-01-01T00:00:00Z', '2026-01-01T00:01:30Z'],
  ['0 12 * * *', '2026-01-01T00:00:00Z', '2026-01-01T17:00:00Z', 'America/New_York'],
  ['0 12 * * *', '2026-07-01T00:00:00Z', '2026-07-01T16:00:00Z', 'America/New_York'],
  ['30 2 * * *', '2026-03-08T05:00:00Z', '2026-03-09T06:30:00Z', 'America/New_York'], // 02:30 is skipped that day
  ['TZ=Asia/Tokyo 0 9 * * *', '2026-01-01T01:00:00Z', '2026-01-02T00:00:00Z'],
];
for (const [schedule, after, next, zone] of cases) {
  test(`${schedule} after ${after}${zone ? ` in ${zone}` : ''}`, () => {
    const at = parseSchedule(schedule, zone).nextAfter(Date.parse(after));
    assert.equal(at === undefined ? undefined : new Date(at).toISOString().replace('.000', ''), next);
  });
}
