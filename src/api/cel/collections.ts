/** Lists, sets and regular expressions. Source: apiserver/pkg/cel/library/{lists,regex}.go; cel-go ext/{sets,lists}.go. */
import { inInt, inUint } from './evaluate.ts';
import { fn, type CallContext, type Library } from './overloads.ts';
import { compileRegex, RegexError } from './re2.ts';
import { big, listAt, text } from './standard.ts';
import { ArrayList, CelError, CelList, compare, Duration, durationOf, equal, fromStrings, UInt, type Value } from './values.ts';

const orderOf = (a: Value, b: Value): number => {
  const order = compare(a, b);
  if (order === undefined) throw new CelError('no such overload');
  return order;
};
function extreme(list: CelList, context: CallContext, sign: 1 | -1, what: string): Value {
  if (list.size === 0) throw new CelError(`${what} called on empty list`);
  let best = list.get(0);
  for (let i = 1; i < list.size; i++) { context.spend(1); const one = list.get(i); if (orderOf(one, best) * sign > 0) best = one; }
  return best;
}
function sum(list: CelList, context: CallContext): Value {
  if (list.size === 0) return 0n;
  let total = list.get(0);
  for (let i = 1; i < list.size; i++) {
    context.spend(1);
    const one = list.get(i);
    if (typeof total === 'bigint' && typeof one === 'bigint') total = inInt(total + one);
    else if (typeof total === 'number' && typeof one === 'number') total += one;
    else if (total instanceof UInt && one instanceof UInt) total = inUint(total.value + one.value);
    else if (total instanceof Duration && one instanceof Duration) total = durationOf(total.nanos + one.nanos);
    else throw new CelError('no such overload');
  }
  return total;
}
function indexOf(list: CelList, value: Value, context: CallContext, last: boolean): bigint {
  for (let n = 0; n < list.size; n++) {
    const i = last ? list.size - 1 - n : n;
    context.spend(1);
    if (equal(list.get(i), value, (cost) => context.spend(cost))) return BigInt(i);
  }
  return -1n;
}
const has = (list: CelList, value: Value, context: CallContext): boolean => indexOf(list, value, context, false) >= 0n;
const containsAll = (list: CelList, wanted: CelList, context: CallContext): boolean => { for (const value of wanted) if (!has(list, value, context)) return false; return true; };

export const listsLibrary: Library = [
  fn('<list<T>>.isSorted() bool', (args, context) => { const list = listAt(args, 0); for (let i = 1; i < list.size; i++) { context.spend(1); if (orderOf(list.get(i - 1), list.get(i)) > 0) return false; } return true; }),
  ...['int', 'uint', 'double', 'duration'].map((type) => fn(`<list<${type}>>.sum() ${type}`, (args, context) => sum(listAt(args, 0), context))),
  fn('<list<T>>.min() T', (args, context) => extreme(listAt(args, 0), context, -1, 'min')),
  fn('<list<T>>.max() T', (args, context) => extreme(listAt(args, 0), context, 1, 'max')),
  fn('<list<T>>.indexOf(T) int', (args, context) => indexOf(listAt(args, 0), args[1]!, context, false)),
  fn('<list<T>>.lastIndexOf(T) int', (args, context) => indexOf(listAt(args, 0), args[1]!, context, true)),
  // cel-go's own lists
  fn('<list<T>>.slice(int, int) list<T>', (args, context) => {
    const list = listAt(args, 0);
    const [start, end] = [big(args, 1), big(args, 2)];
    if (start < 0n || end < start || end > BigInt(list.size)) throw new CelError(`cannot slice(${start}, ${end}), list is length ${list.size}`);
    context.spend(Number(end - start));
    return new ArrayList([...list].slice(Number(start), Number(end)));
  }),
  fn('<list<T>>.reverse() list<T>', (args, context) => { context.spend(listAt(args, 0).size); return new ArrayList([...listAt(args, 0)].toReversed()); }),
  fn('<list<T>>.distinct() list<T>', (args, context) => { const out: Value[] = []; for (const value of listAt(args, 0)) if (!out.some((one) => { context.spend(1); return equal(one, value, (n) => context.spend(n)); })) out.push(value); return new ArrayList(out); }),
  fn('<list<T>>.sort() list<T>', (args, context) => { const list = [...listAt(args, 0)]; context.spend(list.length * Math.max(1, Math.log2(list.length + 1))); return new ArrayList(list.toSorted(orderOf)); }),
  fn('<list<dyn>>.flatten() list<dyn>', (args, context) => { context.spend(listAt(args, 0).size); return new ArrayList([...listAt(args, 0)].flatMap((one) => { if (one instanceof CelList) { context.spend(one.size); return [...one]; } return [one]; })); }),
  fn('lists.range(int) list<int>', (args, context) => { if (big(args, 0) > 1_000_000n) throw new CelError('operation cancelled: actual cost limit exceeded', true); context.spend(Number(big(args, 0))); return new ArrayList(Array.from({ length: Math.max(0, Number(big(args, 0))) }, (_, i) => BigInt(i))); }),
  fn('sets.contains(list<T>, list<T>) bool', (args, context) => containsAll(listAt(args, 0), listAt(args, 1), context)),
  fn('sets.equivalent(list<T>, list<T>) bool', (args, context) => containsAll(listAt(args, 0), listAt(args, 1), context) && containsAll(listAt(args, 1), listAt(args, 0), context)),
  fn('sets.intersects(list<T>, list<T>) bool', (args, context) => { for (const value of listAt(args, 0)) if (has(listAt(args, 1), value, context)) return true; return false; }),
];

/** A pattern, its fault as an error of the expression. */
export function regex(pattern: string): ReturnType<typeof compileRegex> {
  try { return compileRegex(pattern); } catch (err) {
    if (err instanceof RegexError) throw new CelError(err.message);
    throw err;
  }
}
/** By what the machine may have to do, which a short pattern with counts in it can make much. Source: 0.1 per character and 0.25 per step, doubled. */
const regexCost = (value: string, pattern: string): number => (value.length / 10 + 1) * Math.max(1, regex(pattern).size / 2);
function findAll(value: string, pattern: string, limit: bigint, context: CallContext): CelList {
  const out: string[] = [];
  const compiled = regex(pattern);
  for (let from = 0; from <= value.length && (limit < 0n || BigInt(out.length) < limit);) {
    context.spend(regexCost(value.slice(from), pattern));
    const match = compiled.find(value, from);
    if (!match) break;
    out.push(match.groups[0] ?? '');
    from = match.end > match.start ? match.end : match.end + 1;
  }
  return fromStrings(out);
}
export const regexLibrary: Library = [
  fn('<string>.find(string) string', (args, context) => { context.spend(regexCost(text(args, 0), text(args, 1))); return regex(text(args, 1)).find(text(args, 0))?.groups[0] ?? ''; }),
  fn('<string>.findAll(string) list<string>', (args, context) => findAll(text(args, 0), text(args, 1), -1n, context)),
  fn('<string>.findAll(string, int) list<string>', (args, context) => findAll(text(args, 0), text(args, 1), big(args, 2), context)),
];
