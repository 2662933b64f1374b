/**
 * The record of who asked for what and how it went. The pipeline calls `begin` for each request once its user is known, and tells the
 * event of its end; events go as text to the backends, which batch. A request the policy leaves out costs its rules and nothing more.
 * Source: kubernetes.io/docs/tasks/debug/debug-cluster/audit; apiserver/pkg/audit, pkg/endpoints/filters/audit.go.
 * Differs: request objects are recorded as sent, before defaulting; upgraded connections complete when they are handed over.
 */
import type { Readable } from 'node:stream';
import { parse as parseYaml } from 'yaml';
import { microTimestamp, type Clock } from '../../base/clock.ts';
import { cloneJson, isJsonObject, type Json, type JsonObject } from '../../base/json.ts';
import { uuid, type Rng } from '../../base/rng.ts';
import type { StatusError } from '../../api/meta/status.ts';
import { protobufCodec } from '../handlers/body.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import type { RequestInfo, UserInfo } from '../types.ts';
import { compileAuditPolicy, type AuditChoice, type AuditLevel, type AuditPolicy, type AuditStage } from './policy.ts';

/** Takes one event as JSON, without a line end. Never throws and never waits: what it can't keep it counts. */
export interface AuditBackend extends AsyncDisposable { write(event: string): void }

export interface AuditConfig { policy: AuditPolicy; backends: readonly AuditBackend[] }

const ranks: Readonly<Record<AuditLevel, number>> = { None: 0, Metadata: 1, Request: 2, RequestResponse: 3 };
/** Most annotations one event may carry; further ones are dropped. */
const annotationLimit = 64;

export class Auditor implements AsyncDisposable {
  readonly #choose: (info: RequestInfo, user: UserInfo) => AuditChoice | undefined;
  readonly #backends: readonly AuditBackend[];
  readonly #clock: Clock;
  readonly #rng: Rng;
  /** apiserver_audit_event_total, apiserver_audit_level_total. */
  events = 0;
  readonly levels: Record<AuditLevel, number> = { None: 0, Metadata: 0, Request: 0, RequestResponse: 0 };

  constructor({ policy, backends }: AuditConfig, clock: Clock, rng: Rng) {
    this.#choose = compileAuditPolicy(policy);
    this.#backends = backends;
    this.#clock = clock;
    this.#rng = rng;
  }

  /** Undefined: this request is not recorded. Writes the stage RequestReceived. */
  begin(request: ApiRequest, info: RequestInfo): AuditEvent | undefined {
    const user = request.origin?.impersonator ?? request.user;
    const choice = this.#choose(info, user);
    this.levels[choice?.level ?? 'None']++;
    if (!choice) return undefined;
    const event = new AuditEvent(this, request, info, choice, request.origin?.auditId ?? uuid(this.#rng));
    event.stage('RequestReceived');
    return event;
  }

  now(): string {
    const now = this.#clock.now();
    if (now !== this.#shownAt) { this.#shownAt = now; this.#shown = microTimestamp(now); }
    return this.#shown;
  }
  #shownAt = -1;
  #shown = '';

  emit(event: string): void {
    this.events++;
    for (const backend of this.#backends) backend.write(event);
  }
  async [Symbol.asyncDispose](): Promise<void> { await Promise.all(this.#backends.map((backend) => backend[Symbol.asyncDispose]())); }
}

const userTexts = new WeakMap<UserInfo, string>();
function userText(user: UserInfo): string {
  let text = userTexts.get(user);
  if (text === undefined) {
    const { name, uid, groups, extra } = user;
    userTexts.set(user, text = JSON.stringify({ username: name, ...(uid ? { uid } : {}), ...(groups.length > 0 ? { groups } : {}), ...(extra && Object.keys(extra).length > 0 ? { extra } : {}) }));
  }
  return text;
}

export class AuditEvent {
  readonly #auditor: Auditor;
  readonly #request: ApiRequest;
  readonly #info: RequestInfo;
  readonly #choice: AuditChoice;
  readonly #head: string;
  readonly #received: string;
  #middle: string | undefined;
  #name = '';
  #annotations: Record<string, string> | undefined;
  #tail = '';

  constructor(auditor: Auditor, request: ApiRequest, info: RequestInfo, choice: AuditChoice, auditId: string) {
    this.#auditor = auditor;
    this.#request = request;
    this.#info = info;
    this.#choice = choice;
    this.#head = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"${choice.level}","auditID":${JSON.stringify(auditId)},"stage":"`;
    this.#received = auditor.now();
  }

  /** The first value of a key stays. Keys are DOMAIN/name. */
  annotate(key: string, value: string): void {
    const all = this.#annotations ??= {};
    if (!(key in all) && Object.keys(all).length < annotationLimit) all[key] = value;
  }

  stage(stage: AuditStage): void {
    if (this.#choice.omitStages.has(stage)) return;
    const { origin, userAgent } = this.#request;
    if (this.#middle === undefined) {
      const query = this.#request.query.toString();
      const agent = this.#request.headers['user-agent'];
      const user = origin?.impersonator;
      this.#middle = `"requestURI":${JSON.stringify(query ? `${this.#request.path}?${query}` : this.#request.path)},"verb":${JSON.stringify(this.#info.verb)},"user":${userText(user ?? this.#request.user)}`
        + `${user ? `,"impersonatedUser":${userText(this.#request.user)}` : ''},"sourceIPs":${JSON.stringify(origin?.sourceIPs ?? ['::1'])},"userAgent":${JSON.stringify(typeof agent === 'string' ? agent : userAgent)}`;
    }
    const annotations = this.#annotations ? `,"annotations":${JSON.stringify(this.#annotations)}` : '';
    this.#auditor.emit(`${this.#head}${stage}",${this.#middle}${this.#objectRef()}${this.#tail},"requestReceivedTimestamp":"${this.#received}","stageTimestamp":"${this.#auditor.now()}"${annotations}}`);
  }

  #objectRef(): string {
    const { isResource, resource, namespace, name, group, version, subresource } = this.#info;
    if (!isResource) return '';
    const known = name || this.#name;
    return `,"objectRef":{"resource":${JSON.stringify(resource)}${namespace ? `,"namespace":${JSON.stringify(namespace)}` : ''}${known ? `,"name":${JSON.stringify(known)}` : ''}${group ? `,"apiGroup":${JSON.stringify(group)}` : ''},"apiVersion":${JSON.stringify(version)}${subresource ? `,"subresource":${JSON.stringify(subresource)}` : ''}}`;
  }

  finish(result: ApiResult): void {
    switch (result.type) {
      case 'watch': {
        this.#tail = statusText(200);
        this.stage('ResponseStarted');
        const { watcher } = result;
        const { onEnd } = watcher;
        watcher.onEnd = () => { onEnd?.(); this.stage('ResponseComplete'); };
        return;
      }
      case 'stream': this.#streamed(result.code, result.body); return;
      case 'upgrade':
        this.#tail = statusText(101);
        this.stage('ResponseStarted');
        this.stage('ResponseComplete');
        return;
      default: this.#complete(result);
    }
  }
  #streamed(code: number, body: Readable): void {
    this.#tail = statusText(code);
    this.stage('ResponseStarted');
    body.once('close', () => this.stage('ResponseComplete'));
  }
  #complete(result: ApiResult & { type: 'object' | 'value' | 'list' | 'raw' }): void {
    const code = result.type === 'list' ? 200 : result.code;
    if (result.type === 'object' && this.#info.name === '' && result.entry.parsed) this.#name = result.entry.object.metadata.name;
    const status = result.type === 'value' && result.value.kind === 'Status' ? `,"responseStatus":${JSON.stringify(withoutType(result.value))}` : statusText(code);
    this.#tail = status + this.#objects(() => responseObject(result));
    this.stage('ResponseComplete');
  }

  fail(error: StatusError, unexpected: boolean): void {
    if (unexpected) {
      this.#tail = `,"responseStatus":${JSON.stringify({ metadata: {}, status: 'Failure', message: `APIServer panic'd: ${error.message}`, reason: 'InternalError', code: 500 })}${this.#objects(undefined)}`;
      this.stage('Panic');
      return;
    }
    const status = error.status as unknown as JsonObject;
    this.#tail = `,"responseStatus":${JSON.stringify(withoutType(status))}${this.#objects(() => status)}`;
    this.stage('ResponseComplete');
  }

  #objects(response: (() => Json | undefined) | undefined): string {
    const rank = ranks[this.#choice.level];
    if (rank < ranks.Request) return '';
    const shown = (name: string, value: Json | undefined) => (value === undefined ? '' : `,"${name}":${JSON.stringify(this.#choice.omitManagedFields ? withoutManagedFields(value) : value)}`);
    return shown('requestObject', requestObject(this.#request)) + (rank >= ranks.RequestResponse && response ? shown('responseObject', response()) : '');
  }
}

const statusText = (code: number) => `,"responseStatus":{"metadata":{},"code":${code}}`;
const withoutType = (object: JsonObject): JsonObject => ({ ...object, kind: undefined, apiVersion: undefined });

function requestObject({ body, contentType }: ApiRequest): Json | undefined {
  if (body === undefined || body === null) return undefined;
  if (!(body instanceof Uint8Array)) return typeof (body as { pipe?: unknown }).pipe === 'function' ? undefined : body as Json;
  if (body.length === 0) return undefined;
  try {
    if (contentType === 'application/vnd.kubernetes.protobuf') return protobufCodec()?.decode(body) as unknown as Json;
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
    return /yaml/.test(contentType) ? parseYaml(text) as Json : JSON.parse(text) as Json;
  } catch { return undefined; }
}
function responseObject(result: ApiResult): Json | undefined {
  switch (result.type) {
    case 'object': return result.resource.view(result.entry) as unknown as Json;
    case 'value': return result.value;
    case 'list': return { kind: `${result.resource.names.kind}List`, apiVersion: result.resource.names.apiVersion, metadata: result.metadata as unknown as JsonObject, items: result.entries.map((entry) => result.resource.view(entry) as unknown as Json) };
    default: return undefined;
  }
}
function withoutManagedFields(value: Json): Json {
  if (!isJsonObject(value)) return value;
  const strip = (object: Json): Json => {
    if (!isJsonObject(object) || !isJsonObject(object.metadata) || object.metadata.managedFields === undefined) return object;
    const { managedFields: _, ...metadata } = object.metadata;
    return { ...object, metadata };
  };
  return Array.isArray(value.items) ? { ...strip(cloneJson(value)) as JsonObject, items: value.items.map(strip) } : strip(value);
}
