/**
 * API Priority and Fairness: every request is classified, takes a seat of its priority level or waits for one, and is refused with
 * 429 when too many wait already. Follows the FlowSchemas and PriorityLevelConfigurations of the cluster and keeps the default ones
 * there. Long-running requests other than watches take no seat. Source: KEP-1040; kubernetes.io/docs/concepts/cluster-administration/flow-control.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { every, timestamp, type Clock } from '../../base/clock.ts';
import { jsonEqual, type Json } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import type { Rng } from '../../base/rng.ts';
import type { FlowSchema, FlowSchemaCondition, FlowSchemaSpec, PriorityLevelConfiguration, PriorityLevelConfigurationSpec } from '../../api/flowcontrol/v1.ts';
import { isAlreadyExists, isConflict, isNotFound, StatusError } from '../../api/meta/status.ts';
import { flowschemas, prioritylevelconfigurations } from '../../api/resources.ts';
import type { ResourceNames } from '../../api/resource-names.ts';
import type { ApiObject, Client } from '../../client/client.ts';
import type { Informer, InformerFactory } from '../../client/informer.ts';
import { createInformerFactory } from '../../client/shared-informer.ts';
import type { ApiRequest } from '../request.ts';
import type { ResourceTable } from '../resource-table.ts';
import type { RequestInfo, UserInfo } from '../types.ts';
import { compileRules, type CompiledRule } from './classify.ts';
import { defaultFlowSchemas, defaultPriorityLevels, type DefaultObject } from './defaults.ts';
import { PriorityLevel, type LevelLimits, type Refusal } from './priority-level.ts';

export interface FlowControlConfig {
  /** Seats of the server: `--max-requests-inflight` and `--max-mutating-requests-inflight` together. Defaults 400 and 200. */
  maxRequestsInFlight?: number;
  maxMutatingRequestsInFlight?: number;
  /** Longest wait for a seat. Default a quarter of the request timeout: 15 s. */
  maxWaitMs?: number;
}
export interface FlowControlDeps { client: Client; resources: ResourceTable; clock: Clock; rng: Rng; log: Logger; signal: AbortSignal }

/** Objects per seat of a list, and the most seats one request takes. Source: flowcontrol/request/config.go. */
const objectsPerSeat = 100;
const maximumSeats = 10;
export const autoUpdateAnnotation = 'apf.kubernetes.io/autoupdate-spec';
/** How often the default objects are looked after. */
const ensurePeriodMs = 60_000;
const retryAfterSeconds = 1;

/** What the answer's headers tell. */
export interface FlowLabels { schemaUid: string; levelUid: string }

interface Schema extends FlowLabels { name: string; level: PriorityLevel; rules: readonly CompiledRule[]; distinguisher: string; counts: Counts }
interface Counts { schema: string; level: string; dispatched: number; rejected: Record<Refusal, number> }
interface Candidate { schema: Schema; rule: CompiledRule }

/** A seat taken; `done` gives it back. */
export class Seat {
  readonly #level: PriorityLevel;
  readonly #width: number;
  readonly #control: FlowControl;
  constructor(control: FlowControl, level: PriorityLevel, width: number) { this.#control = control; this.#level = level; this.#width = width; }
  done(): void { this.#level.leave(this.#width); this.#control.freed(this.#level); }
}

const longRunning = new Set(['attach', 'exec', 'proxy', 'log', 'portforward']);

export class FlowControl implements AsyncDisposable {
  readonly #deps: FlowControlDeps;
  readonly #seats: number;
  readonly #maxWaitMs: number;
  readonly #levels = new Map<string, PriorityLevel>();
  #schemas: Schema[] = [];
  /** Which rules speak of a user; thrown away with every change. */
  #candidates = new WeakMap<UserInfo, Candidate[]>();
  readonly #counts = new Map<string, Counts>();
  #informers: InformerFactory | undefined;
  #schemaInformer: Informer<FlowSchema> | undefined;
  #levelInformer: Informer<PriorityLevelConfiguration> | undefined;
  #pending = false;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #signal: AbortSignal;

  constructor({ maxRequestsInFlight = 400, maxMutatingRequestsInFlight = 200, maxWaitMs = 15_000 }: FlowControlConfig, deps: FlowControlDeps) {
    this.#deps = deps;
    this.#seats = maxRequestsInFlight + maxMutatingRequestsInFlight;
    this.#maxWaitMs = maxWaitMs;
    this.#signal = AbortSignal.any([deps.signal, this.#stop.signal]);
    this.#configure([], []);
  }

  // ---- the request path

  /** Throws 429 at once, or resolves when there is a seat; undefined: this one needs none. */
  enter(request: ApiRequest, info: RequestInfo): Seat | undefined | Promise<Seat> {
    if (info.isResource && info.verb !== 'watch' && (info.verb === 'proxy' || longRunning.has(info.subresource))) return undefined;
    const schema = this.#classify(request.user, info);
    request.flow = schema;
    const { level } = schema;
    const width = level.limits.seats ? this.#width(request, info) : 1;
    const outcome = level.enter(width, () => `${schema.name}/${distinguish(schema, request.user, info)}`, this.#maxWaitMs, request.signal);
    if (outcome === undefined) { schema.counts.dispatched++; return new Seat(this, level, width); }
    if (typeof outcome === 'string') throw this.#refused(schema, outcome);
    return outcome.then((refusal) => {
      if (refusal !== undefined) throw this.#refused(schema, refusal);
      schema.counts.dispatched++;
      return new Seat(this, level, width);
    });
  }
  #refused(schema: Schema, refusal: Refusal): StatusError {
    schema.counts.rejected[refusal]++;
    return new StatusError({ code: 429, reason: 'TooManyRequests', message: 'Too many requests, please try again later.', details: { retryAfterSeconds } });
  }

  #classify(user: UserInfo, info: RequestInfo): Schema {
    let candidates = this.#candidates.get(user);
    if (!candidates) {
      candidates = this.#schemas.flatMap((schema) => schema.rules.filter((rule) => rule.matchesUser(user)).map((rule) => ({ schema, rule })));
      this.#candidates.set(user, candidates);
    }
    for (const { schema, rule } of candidates) if (rule.matches(info)) return schema;
    return this.#schemas.find(({ name }) => name === 'catch-all')!; // neither authenticated nor not: cannot be
  }
  #width(request: ApiRequest, info: RequestInfo): number {
    if (info.verb !== 'list' && !(info.verb === 'watch' && request.query.flag('sendInitialEvents'))) return 1;
    const cache = this.#deps.resources.find(info.group, info.version, info.resource)?.cache;
    if (!cache?.isReady || info.name) return 1;
    const objects = info.namespace ? cache.list(info.namespace).length : cache.size;
    const limit = Number(request.query.get('limit')) || objects;
    return Math.min(maximumSeats, Math.max(1, Math.ceil(Math.min(objects, limit) / objectsPerSeat)));
  }

  /** Someone gave a seat back: who waits on that level is first, then others it may have lent to. */
  freed(level: PriorityLevel): void {
    if (level.waiting > 0) level.dispatch();
    if (this.#levels.size > 0) for (const other of this.#levels.values()) if (other !== level && other.waiting > 0) other.dispatch();
  }
  /** All levels together stay within the server's seats, and each keeps what is guaranteed to it. */
  readonly #borrow = (level: PriorityLevel, width: number): boolean => {
    let taken = level.executingSeats + width;
    for (const other of this.#levels.values()) {
      if (other === level || !other.limits.seats) continue;
      taken += Math.max(other.executingSeats, other.limits.seats.guaranteed);
    }
    return taken <= this.#seats + this.#levels.size; // rounding up gives each level at most one more
  };

  // ---- configuration

  /** Makes the default objects and follows all of them. */
  async start(): Promise<void> {
    const { client } = this.#deps;
    await this.#ensure();
    this.#informers = createInformerFactory(client, { ...this.#deps, signal: this.#signal });
    this.#schemaInformer = this.#informers.informer(flowschemas);
    this.#levelInformer = this.#informers.informer(prioritylevelconfigurations);
    const changed = () => this.#changed();
    this.#schemaInformer.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
    this.#levelInformer.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
    await Promise.all([this.#schemaInformer.synced(this.#signal), this.#levelInformer.synced(this.#signal)]);
    this.#reconfigure();
    this.#track(every(this.#deps.clock, ensurePeriodMs, this.#signal, () => this.#ensure()));
  }
  /** Several changes in one turn are taken together. */
  #changed(): void {
    if (this.#pending) return;
    this.#pending = true;
    queueMicrotask(() => { this.#pending = false; if (!this.#signal.aborted) this.#reconfigure(); });
  }
  #reconfigure(): void {
    if (!this.#schemaInformer!.hasSynced || !this.#levelInformer!.hasSynced) return;
    this.#configure(this.#schemaInformer!.list(), this.#levelInformer!.list());
    for (const schema of this.#schemaInformer!.list()) this.#track(this.#writeStatus(schema));
  }

  #configure(schemas: readonly FlowSchema[], levels: readonly PriorityLevelConfiguration[]): void {
    const withDefaults = <T extends ApiObject & { spec: S }, S>(objects: readonly T[], defaults: readonly DefaultObject<S>[]) => {
      const all = objects.map(({ metadata, spec }) => ({ name: metadata.name, uid: metadata.uid ?? '', spec }));
      // Before the objects are known the defaults hold; afterwards the mandatory ones do, whatever is deleted.
      for (const { name, mandatory, spec } of defaults) if ((mandatory || objects.length === 0) && !all.some((one) => one.name === name)) all.push({ name, uid: '', spec });
      return all;
    };
    const wantedLevels = withDefaults<PriorityLevelConfiguration, PriorityLevelConfigurationSpec>(levels, defaultPriorityLevels);
    const sharesOf = ({ limited, exempt }: PriorityLevelConfigurationSpec) => limited?.nominalConcurrencyShares ?? exempt?.nominalConcurrencyShares ?? 0;
    const allShares = wantedLevels.reduce((sum, { spec }) => sum + sharesOf(spec), 0) || 1;
    for (const { name, spec } of wantedLevels) {
      const limits = this.#limitsOf(spec, Math.ceil((this.#seats * sharesOf(spec)) / allShares));
      const known = this.#levels.get(name);
      if (known) known.limits = limits; else this.#levels.set(name, new PriorityLevel(name, limits, this.#deps.clock, this.#borrow));
    }
    for (const [name, level] of this.#levels) if (!wantedLevels.some((one) => one.name === name) && level.executing === 0 && level.waiting === 0) this.#levels.delete(name);
    const known = new Map(wantedLevels.map((one) => [one.name, one]));
    this.#schemas = withDefaults<FlowSchema, FlowSchemaSpec>(schemas, defaultFlowSchemas).sort((a, b) => (a.spec.matchingPrecedence ?? 0) - (b.spec.matchingPrecedence ?? 0) || (a.name < b.name ? -1 : 1)).flatMap(({ name, uid, spec }): Schema[] => {
      const level = known.get(spec.priorityLevelConfiguration.name);
      if (!level) return []; // dangling
      return [{ name, schemaUid: uid, levelUid: level.uid, level: this.#levels.get(level.name)!, rules: compileRules(spec), distinguisher: spec.distinguisherMethod?.type ?? '', counts: this.#countsOf(name, level.name) }];
    });
    this.#candidates = new WeakMap();
  }
  #limitsOf({ type, limited }: PriorityLevelConfigurationSpec, nominal: number): LevelLimits {
    if (type === 'Exempt') return { seats: undefined, queuing: undefined };
    const { lendablePercent = 0, borrowingLimitPercent, limitResponse } = limited ?? {};
    const queuing = limitResponse?.type === 'Queue' ? { queues: limitResponse.queuing?.queues ?? 64, handSize: limitResponse.queuing?.handSize ?? 8, queueLengthLimit: limitResponse.queuing?.queueLengthLimit ?? 50 } : undefined;
    return { queuing, seats: { nominal, guaranteed: nominal - Math.round((nominal * lendablePercent) / 100), most: borrowingLimitPercent === undefined ? this.#seats : nominal + Math.round((nominal * borrowingLimitPercent) / 100) } };
  }
  #countsOf(schema: string, level: string): Counts {
    const key = `${schema}/${level}`;
    let counts = this.#counts.get(key);
    if (!counts) this.#counts.set(key, counts = { schema, level, dispatched: 0, rejected: { 'concurrency-limit': 0, 'queue-full': 0, 'time-out': 0, cancelled: 0 } });
    return counts;
  }

  // ---- the objects

  /** Makes what is missing; rewrites what is mandatory or asks for it by its annotation. */
  async #ensure(): Promise<void> {
    const one = async <S>(names: ResourceNames<{ metadata: ApiObject['metadata'] }>, { name, mandatory, spec }: DefaultObject<S>) => {
      const client = this.#deps.client.for(names as ResourceNames<ApiObject & { spec: S }>);
      try {
        const old = await client.get({ name }, { signal: this.#signal }).catch((err: unknown) => { if (isNotFound(err)) return undefined; throw err; });
        if (!old) { await client.create({ metadata: { name, annotations: { [autoUpdateAnnotation]: 'true' } }, spec } as never, { signal: this.#signal }); return; }
        const wish = old.metadata.annotations?.[autoUpdateAnnotation];
        const automatic = mandatory || (wish === undefined ? old.metadata.generation === 1 : wish === 'true');
        // The exempt level's shares are the user's.
        const same = jsonEqual(old.spec as unknown as Json, spec as unknown as Json) || (name === 'exempt' && 'exempt' in (old.spec as object));
        if (automatic && (!same || wish !== 'true')) await client.update({ ...old, metadata: { ...old.metadata, annotations: { ...old.metadata.annotations, [autoUpdateAnnotation]: 'true' } }, spec: same ? old.spec : spec }, { signal: this.#signal });
      } catch (err) { if (!this.#signal.aborted && !isAlreadyExists(err) && !isConflict(err)) this.#deps.log.warn({ err, name }, 'could not write a default of flow control'); }
    };
    await Promise.all([...defaultPriorityLevels.map((level) => one(prioritylevelconfigurations, level)), ...defaultFlowSchemas.map((schema) => one(flowschemas, schema))]);
  }

  /** The condition Dangling. */
  async #writeStatus(schema: FlowSchema): Promise<void> {
    const { name } = schema.spec.priorityLevelConfiguration;
    const found = this.#levelInformer!.get(name) !== undefined;
    const quoted = JSON.stringify(name);
    const wanted = found
      ? { type: 'Dangling', status: 'False', reason: 'Found', message: `This FlowSchema references the PriorityLevelConfiguration object named ${quoted} and it exists` }
      : { type: 'Dangling', status: 'True', reason: 'NotFound', message: `This FlowSchema references the PriorityLevelConfiguration object named ${quoted} but there is no such object` };
    const old = (schema.status?.conditions ?? []).find(({ type }) => type === 'Dangling');
    if (old && old.status === wanted.status && old.reason === wanted.reason && old.message === wanted.message) return;
    const condition: FlowSchemaCondition = { ...wanted, lastTransitionTime: timestamp(this.#deps.clock.now()) };
    try {
      await this.#deps.client.for(flowschemas).updateStatus({ ...schema, status: { conditions: [...(schema.status?.conditions ?? []).filter(({ type }) => type !== 'Dangling'), condition] } }, { signal: this.#signal });
    } catch (err) { if (!isConflict(err) && !isNotFound(err)) throw err; }
  }
  #track(work: Promise<void>): void {
    this.#running.add(work);
    void work.catch((err: unknown) => { if (!this.#signal.aborted) this.#deps.log.warn({ err }, 'flow control'); }).finally(() => this.#running.delete(work));
  }

  /** Upstream's names; numbers are read when someone asks. */
  register(registry: Registry): void {
    const registers = [registry];
    const both = ['priority_level', 'flow_schema'];
    const counts = this.#counts;
    const levels = this.#levels;
    new Counter({ name: 'apiserver_flowcontrol_dispatched_requests_total', help: 'Number of requests executed by API Priority and Fairness subsystem', labelNames: both, registers,
      collect() { this.reset(); for (const { schema, level, dispatched } of counts.values()) if (dispatched > 0) this.inc({ priority_level: level, flow_schema: schema }, dispatched); } });
    new Counter({ name: 'apiserver_flowcontrol_rejected_requests_total', help: 'Number of requests rejected by API Priority and Fairness subsystem', labelNames: [...both, 'reason'], registers,
      collect() { this.reset(); for (const { schema, level, rejected } of counts.values()) for (const [reason, count] of Object.entries(rejected)) if (count > 0) this.inc({ priority_level: level, flow_schema: schema, reason }, count); } });
    const gauge = (name: string, help: string, value: (level: PriorityLevel) => number) => new Gauge({ name: `apiserver_flowcontrol_${name}`, help, labelNames: ['priority_level'], registers,
      collect() { this.reset(); for (const level of levels.values()) this.set({ priority_level: level.name }, value(level)); } });
    gauge('current_inqueue_requests', 'Number of requests currently pending in queues of the API Priority and Fairness subsystem', (level) => level.waiting);
    gauge('current_executing_requests', 'Number of requests in initial execution stage in the API Priority and Fairness subsystem', (level) => level.executing);
    gauge('current_executing_seats', 'Concurrency (number of seats) occupied by the currently executing requests in the API Priority and Fairness subsystem', (level) => level.executingSeats);
    gauge('nominal_limit_seats', 'Nominal number of execution seats configured for each priority level', (level) => level.limits.seats?.nominal ?? 0);
    gauge('lower_limit_seats', 'Configured lower bound on number of execution seats available to each priority level', (level) => level.limits.seats?.guaranteed ?? 0);
    gauge('upper_limit_seats', 'Configured upper bound on number of execution seats available to each priority level', (level) => level.limits.seats?.most ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running);
    await this.#informers?.[Symbol.asyncDispose]();
  }
}

function distinguish({ distinguisher }: Schema, user: UserInfo, info: RequestInfo): string {
  return distinguisher === 'ByUser' ? user.name : distinguisher === 'ByNamespace' ? info.namespace : '';
}
