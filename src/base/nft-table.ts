/**
 * One nftables table as desired state. Owners put fragments (chains, sets, elements) under a unit's name; `sync` writes the
 * difference to what was written last in one transaction. After the first write a table is never written whole again, unless
 * the kernel refuses a change or the table was removed or flushed by someone else (`check`): then it is replaced in one transaction.
 */
import type { Nft } from './nft.ts';
import { NftError } from './nft.ts';

export interface Fragment {
  /** Chain name → its rules in order. A rule that starts with `type ` makes the chain a base chain (its hook and priority). */
  readonly chains?: Readonly<Record<string, readonly string[]>>;
  /** Name → declaration, `set { type ipv4_addr; }` or `map { type ipv4_addr : verdict; }`. A name always means the same declaration. */
  readonly sets?: Readonly<Record<string, string>>;
  /** Units may share an element; the unit that claimed it first decides its value. */
  readonly elements?: readonly Element[];
}
export interface Element { readonly set: string; readonly key: string; readonly value?: string | undefined }

export interface NftTableOptions { nft: Nft; family: 'ip' | 'ip6' | 'inet' | 'bridge'; name: string; base: Fragment }

export interface SyncResult { full: boolean; changed: boolean; scriptBytes: number }

interface Claim { unit: string; value: string | undefined }

const baseUnit = '';

export class NftTable {
  readonly #nft: Nft;
  readonly #id: string;
  /** What should be, by unit. */
  readonly #desired = new Map<string, Fragment>();
  /** What the kernel has, by unit. */
  #applied = new Map<string, Fragment>();
  #claims = new Map<string, { element: Element; owners: Claim[] }>();
  readonly #dirty = new Set<string>();
  #needsFull = true;
  /** The first hook chain as nft printed it after the last full write. */
  #fingerprint: string | undefined;

  constructor({ nft, family, name, base }: NftTableOptions) {
    this.#nft = nft;
    this.#id = `${family} ${name}`;
    this.#desired.set(baseUnit, base);
    this.#dirty.add(baseUnit);
  }

  /** Units with a fragment. */
  get size(): number { return this.#desired.size - 1; }
  get dirty(): boolean { return this.#needsFull || this.#dirty.size > 0; }

  put(unit: string, fragment: Fragment): void {
    this.#desired.set(unit, fragment);
    this.#dirty.add(unit);
  }
  remove(unit: string): void {
    if (this.#desired.delete(unit)) this.#dirty.add(unit);
  }
  putBase(base: Fragment): void { this.put(baseUnit, base); }
  units(): IterableIterator<string> { return this.#desired.keys(); }
  /** The next `sync` replaces the whole table. */
  invalidate(): void { this.#needsFull = true; }

  /** Writes what changed. Throws NftError when even replacing the table failed; the next call tries that again. */
  async sync(signal?: AbortSignal): Promise<SyncResult> {
    if (!this.#needsFull) {
      const script = this.#incremental();
      if (script === '') return { full: false, changed: false, scriptBytes: 0 };
      try {
        await this.#nft.apply(script, signal);
        return { full: false, changed: true, scriptBytes: script.length };
      } catch (err) {
        this.#needsFull = true;
        if (!(err instanceof NftError) || err.failure !== 'rejected') throw err;
      }
    }
    const script = this.render();
    this.#needsFull = false;
    try {
      await this.#nft.apply(script, signal);
      this.#fingerprint = await this.#readFingerprint(signal);
    } catch (err) {
      this.#needsFull = true;
      throw err;
    }
    return { full: true, changed: true, scriptBytes: script.length };
  }

  /** Whether the table's first hook chain is still as we left it; if not, the next `sync` replaces the table. */
  async check(signal?: AbortSignal): Promise<boolean> {
    if (this.#needsFull) return false;
    const seen = await this.#readFingerprint(signal).catch(() => undefined);
    if (seen !== this.#fingerprint) this.#needsFull = true;
    return !this.#needsFull;
  }

  /** Removes the table from the kernel. Fine when it is not there. */
  async teardown(signal?: AbortSignal): Promise<void> {
    this.#needsFull = true;
    await this.#nft.apply(`add table ${this.#id}\ndelete table ${this.#id}\n`, signal);
  }

  /** The script that replaces the whole table by the desired state, and takes that as applied. */
  render(): string {
    this.#applied = new Map();
    this.#claims = new Map();
    this.#dirty.clear();
    for (const unit of this.#desired.keys()) this.#dirty.add(unit);
    return `add table ${this.#id}\ndelete table ${this.#id}\nadd table ${this.#id}\n${this.#incremental()}`;
  }

  #incremental(): string {
    const id = this.#id;
    // In this order nothing is referenced before it exists or removed while referenced.
    const created: string[] = [], unlinked: string[] = [], flushed: string[] = [], rules: string[] = [], added: string[] = [], removed: string[] = [];
    const touched = new Map<string, string | undefined | null>(); // claim key → value in the kernel; null: not there
    const touch = (key: string) => {
      if (!touched.has(key)) { const claim = this.#claims.get(key); touched.set(key, claim ? claim.owners[0]!.value : null); }
    };
    const elementOf = new Map<string, Element>();
    for (const unit of this.#dirty) {
      const old = this.#applied.get(unit), next = this.#desired.get(unit);
      if (old === next) continue;
      for (const [name, declaration] of Object.entries(next?.sets ?? {})) {
        if (old?.sets?.[name] !== undefined) continue;
        const kind = declaration.slice(0, declaration.indexOf(' '));
        created.push(`add ${kind} ${id} ${name} ${declaration.slice(kind.length + 1)}`);
      }
      for (const [name, lines] of Object.entries(next?.chains ?? {})) {
        const before = old?.chains?.[name];
        if (before && before.length === lines.length && before.every((line, i) => line === lines[i])) continue;
        const isHook = lines[0]?.startsWith('type ') ?? false;
        if (!before) created.push(`add chain ${id} ${name}${isHook ? ` { ${lines[0]!} }` : ''}`);
        else flushed.push(`flush chain ${id} ${name}`);
        for (const line of isHook ? lines.slice(1) : lines) rules.push(`add rule ${id} ${name} ${line}`);
      }
      const gone = Object.keys(old?.chains ?? {}).filter((name) => next?.chains?.[name] === undefined);
      for (const name of gone) { flushed.push(`flush chain ${id} ${name}`); removed.push(`delete chain ${id} ${name}`); }
      for (const [name, declaration] of Object.entries(old?.sets ?? {})) {
        if (next?.sets?.[name] === undefined) removed.push(`delete ${declaration.slice(0, declaration.indexOf(' '))} ${id} ${name}`);
      }
      if (old?.elements !== next?.elements) {
        const kept = new Map((next?.elements ?? []).map((element) => [claimKey(element), element]));
        for (const element of old?.elements ?? []) {
          const key = claimKey(element);
          const replacement = kept.get(key);
          if (replacement && replacement.value === element.value) { kept.delete(key); continue; }
          touch(key); elementOf.set(key, element);
          const claim = this.#claims.get(key)!;
          claim.owners = claim.owners.filter((owner) => owner.unit !== unit);
          if (claim.owners.length === 0) this.#claims.delete(key);
        }
        for (const [key, element] of kept) {
          touch(key); elementOf.set(key, element);
          const claim = this.#claims.get(key);
          if (claim) claim.owners.push({ unit, value: element.value });
          else this.#claims.set(key, { element, owners: [{ unit, value: element.value }] });
        }
      }
      if (next) this.#applied.set(unit, next); else this.#applied.delete(unit);
    }
    this.#dirty.clear();
    const deletes = new Map<string, string[]>(), adds = new Map<string, string[]>();
    for (const [key, before] of touched) {
      const owner = this.#claims.get(key)?.owners[0];
      const after = owner ? owner.value : null;
      if (before === after) continue;
      const element = elementOf.get(key)!;
      if (before !== null) append(deletes, element.set, element.key);
      if (after !== null) append(adds, element.set, after === undefined ? element.key : `${element.key} : ${after}`);
    }
    for (const [set, keys] of deletes) for (const some of slices(keys)) unlinked.push(`delete element ${id} ${set} { ${some.join(', ')} }`);
    for (const [set, entries] of adds) for (const some of slices(entries)) added.push(`add element ${id} ${set} { ${some.join(', ')} }`);
    // Chains are deleted before the sets that their rules used; nft wants every user gone first.
    removed.sort((a, b) => Number(b.startsWith('delete chain')) - Number(a.startsWith('delete chain')));
    const lines = [...created, ...unlinked, ...flushed, ...rules, ...added, ...removed];
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
  }

  async #readFingerprint(signal?: AbortSignal): Promise<string> {
    // One chain shows a removed, replaced or flushed table; nft lists a single chain per run, and cheaply.
    const hook = Object.entries(this.#desired.get(baseUnit)?.chains ?? {}).find(([, lines]) => lines[0]?.startsWith('type '));
    return hook ? this.#nft.list(`list chain ${this.#id} ${hook[0]}\n`, signal) : '';
  }
}

function claimKey(element: Element): string { return `${element.set} ${element.key}`; }
function append(lists: Map<string, string[]>, name: string, value: string): void {
  const list = lists.get(name);
  if (list) list.push(value); else lists.set(name, [value]);
}
/** Elements in one command; nft's parser slows down on very long lists. */
const elementsPerCommand = 500;
function* slices(list: readonly string[]): Iterable<readonly string[]> {
  for (let start = 0; start < list.length; start += elementsPerCommand) yield list.slice(start, start + elementsPerCommand);
}
