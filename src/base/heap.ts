/** A binary heap whose items can be found and removed by key: a priority queue with O(log n) changes. */
export class Heap<T> {
  readonly #items: T[] = [];
  readonly #index = new Map<string, number>();
  readonly #keyOf: (item: T) => string;
  readonly #before: (a: T, b: T) => boolean;

  constructor(keyOf: (item: T) => string, before: (a: T, b: T) => boolean) {
    this.#keyOf = keyOf;
    this.#before = before;
  }

  get size(): number { return this.#items.length; }
  get(key: string): T | undefined { const at = this.#index.get(key); return at === undefined ? undefined : this.#items[at]; }
  peek(): T | undefined { return this.#items[0]; }
  values(): Iterable<T> { return this.#items; }

  /** Adds, or replaces the item of the same key. */
  push(item: T): void {
    const key = this.#keyOf(item);
    const at = this.#index.get(key) ?? this.#items.length;
    this.#put(at, item);
    this.#settle(at);
  }

  pop(): T | undefined { return this.#items.length === 0 ? undefined : this.#removeAt(0); }

  remove(key: string): T | undefined {
    const at = this.#index.get(key);
    return at === undefined ? undefined : this.#removeAt(at);
  }

  #removeAt(at: number): T {
    const removed = this.#items[at]!;
    const last = this.#items.pop()!;
    this.#index.delete(this.#keyOf(removed));
    if (at < this.#items.length) { this.#put(at, last); this.#settle(at); }
    return removed;
  }

  #put(at: number, item: T): void { this.#items[at] = item; this.#index.set(this.#keyOf(item), at); }

  /** Moves the item at `at` up or down to where it belongs. */
  #settle(at: number): void {
    const items = this.#items;
    const item = items[at]!;
    for (let parent = (at - 1) >> 1; at > 0 && this.#before(item, items[parent]!); parent = (at - 1) >> 1) {
      this.#put(at, items[parent]!);
      at = parent;
    }
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#before(items[child + 1]!, items[child]!)) child++;
      if (!this.#before(items[child]!, item)) break;
      this.#put(at, items[child]!);
      at = child;
    }
    this.#put(at, item);
  }
}
