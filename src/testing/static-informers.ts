/** Informers that a test fills by hand: `set` and `remove` act as watch events. Everything is synced from the start. */
import type { ResourceNames } from '../api/resource-names.ts';
import { silentLogger } from '../base/log.ts';
import type { ApiObject } from '../client/client.ts';
import { keyOf, type Informer, type InformerFactory } from '../client/informer.ts';
import { SharedInformer } from '../client/shared-informer.ts';

export class StaticInformers implements InformerFactory {
  readonly #informers = new Map<string, SharedInformer<ApiObject>>();

  informer<T extends ApiObject>(names: ResourceNames<T>): Informer<T> { return this.#of(names); }
  existing<T extends ApiObject>(names: ResourceNames<T>): Informer<T> | undefined { return this.#of(names); }
  synced(): Promise<void> { return Promise.resolve(); }
  set<T extends ApiObject>(names: ResourceNames<T>, object: T): void {
    const informer = this.#of(names);
    informer.apply(informer.get(keyOf(object)) ? 'MODIFIED' : 'ADDED', object);
  }
  remove<T extends ApiObject>(names: ResourceNames<T>, object: T): void { this.#of(names).apply('DELETED', object); }
  async [Symbol.asyncDispose](): Promise<void> {}

  #of<T extends ApiObject>(names: ResourceNames<T>): SharedInformer<T> {
    const id = `${names.group}/${names.version}/${names.plural}`;
    let informer = this.#informers.get(id) as SharedInformer<T> | undefined;
    if (!informer) {
      informer = new SharedInformer<T>(names, silentLogger);
      informer.replace([]);
      this.#informers.set(id, informer as unknown as SharedInformer<ApiObject>);
    }
    return informer;
  }
}
