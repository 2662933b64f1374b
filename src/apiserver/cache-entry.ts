/**
 * One stored object as every reader shares it: the bytes it is served as, its revision, and the parsed object made on first
 * use. Stored JSON lacks metadata.resourceVersion (upstream's storage encoding), which is spliced in once, without parsing.
 */
import type { ApiObject } from '../client/client.ts';
import { deepFreeze, type JsonObject } from '../base/json.ts';

/** What the entries of one storage prefix have in common. */
export interface StoredForm {
  /** '/registry/pods' */
  prefix: string;
  kind: string;
  apiVersion: string;
  /** What our stored bytes begin with; the resourceVersion goes right behind it. */
  head: Buffer;
  /** Freeze parsed objects all the way down (tests): a stray write throws. */
  freeze: boolean;
  /** Values that are not JSON (protobuf from an upstream apiserver). */
  decodeForeign?(value: Uint8Array): JsonObject;
  /** Called when an entry parsed its object, so that cold ones can be dropped. */
  onParsed?(entry: CacheEntry): void;
}

export function storedForm(prefix: string, apiVersion: string, kind: string, freeze: boolean): StoredForm {
  return { prefix, kind, apiVersion, freeze, head: Buffer.from(`{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},"metadata":{`) };
}

export class CacheEntry {
  readonly form: StoredForm;
  readonly key: string;
  readonly revision: number;
  #raw: Uint8Array | undefined;
  #bytes: Buffer | undefined;
  #object: ApiObject | undefined;
  /** Other encodings, by name, made lazily and dropped with the entry. */
  #encodings: Map<string, Buffer> | undefined;
  #views: Map<string, ApiObject> | undefined;
  /** Views that are the object itself. */
  #same: string[] | undefined;

  constructor(form: StoredForm, key: string, revision: number, stored: Uint8Array | undefined, object?: ApiObject) {
    this.form = form;
    this.key = key;
    this.revision = revision;
    this.#raw = stored;
    this.#object = object;
  }

  /** The JSON a GET answers with. */
  get bytes(): Buffer {
    if (this.#bytes) return this.#bytes;
    const raw = this.#raw;
    if (raw && startsWith(raw, this.form.head)) {
      const { head } = this.form;
      const version = `"resourceVersion":"${this.revision}",`;
      const bytes = Buffer.allocUnsafeSlow(raw.length + version.length);
      bytes.set(head, 0);
      bytes.write(version, head.length, 'latin1');
      bytes.set(raw.subarray(head.length), head.length + version.length);
      this.#bytes = bytes;
    } else this.#bytes = Buffer.from(JSON.stringify(this.object));
    this.#raw = undefined;
    return this.#bytes;
  }

  /** Shared and read-only. */
  get object(): ApiObject {
    if (this.#object) return this.#object;
    let object: ApiObject;
    const raw = this.#raw;
    if (raw && !startsWith(raw, this.form.head)) {
      const parsed = (raw[0] === 0x7b || !this.form.decodeForeign ? JSON.parse(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString()) : this.form.decodeForeign(raw)) as ApiObject;
      object = { ...parsed, metadata: { ...parsed.metadata, resourceVersion: String(this.revision) } };
    } else object = JSON.parse(this.bytes.toString()) as ApiObject;
    this.#object = this.form.freeze ? deepFreeze(object) : object;
    // This may forget the object again.
    this.form.onParsed?.(this);
    return object;
  }

  /** Bytes of its JSON, about. */
  get size(): number { return this.#bytes?.length ?? this.#raw?.length ?? 0; }
  get parsed(): boolean { return this.#object !== undefined; }
  /** Takes an object equal to the bytes, parsed elsewhere. */
  offer(object: ApiObject): void { if (!this.#object) { this.#object = this.form.freeze ? deepFreeze(object) : object; this.form.onParsed?.(this); } }
  /** Forgets what can be made again. */
  cool(): void { this.#object = undefined; this.#encodings = undefined; this.#views = undefined; }

  /** The object under another version or form, `make` run once. */
  view(name: string, make: (object: ApiObject) => ApiObject): ApiObject {
    if (this.#same?.includes(name)) return this.object;
    let view = this.#views?.get(name);
    if (!view) {
      const { object } = this;
      view = make(object);
      if (view === object) { (this.#same ??= []).push(name); return view; }
      if (this.form.freeze) deepFreeze(view);
      (this.#views ??= new Map()).set(name, view);
    }
    return view;
  }
  /** The view by that name is known to be the object as stored. */
  isAsStored(name: string): boolean { return this.#same?.includes(name) ?? false; }
  encoding(name: string, make: () => Uint8Array): Buffer {
    let bytes = this.#encodings?.get(name);
    if (!bytes) {
      const made = make();
      bytes = Buffer.from(made.buffer, made.byteOffset, made.byteLength);
      (this.#encodings ??= new Map()).set(name, bytes);
    }
    return bytes;
  }

  /** The same state under a later revision: what DELETED events carry. */
  at(revision: number): CacheEntry {
    const { head } = this.form;
    const bytes = this.bytes;
    const object = this.#object && { ...this.#object, metadata: { ...this.#object.metadata, resourceVersion: String(revision) } };
    if (!startsWith(bytes, head)) return new CacheEntry(this.form, this.key, revision, Buffer.from(JSON.stringify(this.object)), object);
    const old = `"resourceVersion":"${this.revision}",`.length;
    return new CacheEntry(this.form, this.key, revision, Buffer.concat([head, bytes.subarray(head.length + old)]), object);
  }
}

function startsWith(bytes: Uint8Array, head: Buffer): boolean {
  return bytes.length > head.length && head.compare(bytes, 0, head.length) === 0;
}
