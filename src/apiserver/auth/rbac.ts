/**
 * RBAC: who may do what by Roles and Bindings. The index is fed from outside (informers, or anything that knows the objects);
 * rules are gathered once per subject and thrown away when any role or binding changes, so a repeated question is a map look-up.
 * Source: kubernetes.io/docs/reference/access-authn-authz/rbac; reasons as upstream's plugin/pkg/auth/authorizer/rbac.
 */
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject } from '../../api/rbac/v1.ts';
import { notFound } from '../../api/meta/status.ts';
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer, NonResourceRule, ResourceRule, UserInfo } from '../types.ts';
import { ruleAllows } from './policy-rules.ts';
import { parseServiceAccount, systemMasters } from './users.ts';

/** Resources of rbac.authorization.k8s.io/v1. */
export type RbacResource = 'clusterroles' | 'clusterrolebindings' | 'roles' | 'rolebindings';
export type RbacObject = ClusterRole | ClusterRoleBinding | Role | RoleBinding;
export const rbacResources: readonly RbacResource[] = ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'];

/** What feeds an index: `Informer` of client/informer.ts fits. */
export interface RbacFeed<T> {
  readonly hasSynced: boolean;
  synced(signal?: AbortSignal): Promise<void>;
  addHandler(handler: { onAdd(object: T): void; onUpdate(old: T, next: T): void; onDelete(object: T): void }): () => void;
}
export interface RbacFeeds {
  clusterroles: RbacFeed<ClusterRole>; clusterrolebindings: RbacFeed<ClusterRoleBinding>;
  roles: RbacFeed<Role>; rolebindings: RbacFeed<RoleBinding>;
}

interface Grant { binding: ClusterRoleBinding | RoleBinding; subject: Subject; /** '' for cluster-wide. */ namespace: string }
interface Allowed { rule: PolicyRule; grant: Grant }

/** Every role and binding, indexed by subject. */
export class RbacIndex {
  readonly #roles = new Map<string, Role | ClusterRole>();
  readonly #bindings = new Map<string, ClusterRoleBinding | RoleBinding>();
  readonly #bySubject = new Map<string, Map<string, Grant[]>>();
  #synced: Promise<unknown> | undefined;
  #isSynced = true;
  /** Rises with every change. */
  generation = 0;

  set(resource: RbacResource, object: RbacObject): void {
    this.generation++;
    const key = keyIn(resource, object);
    if (resource === 'clusterroles' || resource === 'roles') { this.#roles.set(key, object as Role); return; }
    this.#unbind(key);
    const binding = object as ClusterRoleBinding | RoleBinding;
    this.#bindings.set(key, binding);
    const namespace = binding.metadata.namespace ?? '';
    for (const subject of binding.subjects ?? []) {
      const id = subjectKey(subject, namespace);
      let grants = this.#bySubject.get(id);
      if (!grants) this.#bySubject.set(id, grants = new Map());
      grants.set(key, [...(grants.get(key) ?? []), { binding, subject, namespace }]);
    }
  }

  delete(resource: RbacResource, object: RbacObject): void {
    this.generation++;
    const key = keyIn(resource, object);
    if (resource === 'clusterroles' || resource === 'roles') this.#roles.delete(key); else { this.#unbind(key); this.#bindings.delete(key); }
  }

  /** Follows informers (or the like). Until they have synced, a "no" waits for them. */
  follow(feeds: RbacFeeds): void {
    for (const resource of rbacResources) {
      (feeds[resource] as RbacFeed<RbacObject>).addHandler({
        onAdd: (object) => this.set(resource, object), onUpdate: (_old, next) => this.set(resource, next), onDelete: (object) => this.delete(resource, object),
      });
    }
    this.#isSynced = false;
    this.#synced = Promise.all(rbacResources.map((resource) => feeds[resource].synced())).then(() => { this.#isSynced = true; }, () => {});
  }

  get isSynced(): boolean { return this.#isSynced; }
  async synced(): Promise<void> { await this.#synced; }

  /** The rules behind a reference; undefined when there is no such role. */
  rulesOf(ref: Pick<RoleRef, 'kind' | 'name'>, namespace: string): readonly PolicyRule[] | undefined {
    const role = this.#roles.get(ref.kind === 'ClusterRole' ? `clusterroles/${ref.name}` : `roles/${namespace}/${ref.name}`);
    return role && (role.rules ?? []);
  }

  /** Grants to this user that count in `namespace` ('' : cluster-wide ones only). */
  grantsTo(user: UserInfo, namespace: string): Grant[] {
    const found: Grant[] = [];
    const account = parseServiceAccount(user.name);
    const keys = [`User/${user.name}`, ...user.groups.map((group) => `Group/${group}`), ...(account ? [`ServiceAccount/${account.namespace}/${account.name}`] : [])];
    for (const key of keys) {
      for (const grants of this.#bySubject.get(key)?.values() ?? []) for (const grant of grants) if (grant.namespace === '' || grant.namespace === namespace) found.push(grant);
    }
    // Cluster-wide first, as upstream visits them.
    return found.sort((a, b) => Number(a.namespace !== '') - Number(b.namespace !== ''));
  }

  /** All rules a user holds in `namespace`, and the references that lead nowhere. */
  rulesFor(user: UserInfo, namespace: string): { allowed: Allowed[]; errors: string[] } {
    const allowed: Allowed[] = [];
    const errors: string[] = [];
    for (const grant of this.grantsTo(user, namespace)) {
      const rules = this.rulesOf(grant.binding.roleRef, grant.namespace);
      if (rules) for (const rule of rules) allowed.push({ rule, grant });
      else errors.push(roleNotFound(grant.binding.roleRef).message);
    }
    return { allowed, errors };
  }

  #unbind(key: string): void {
    const old = this.#bindings.get(key);
    for (const subject of old?.subjects ?? []) {
      const id = subjectKey(subject, old!.metadata.namespace ?? '');
      const grants = this.#bySubject.get(id);
      grants?.delete(key);
      if (grants?.size === 0) this.#bySubject.delete(id);
    }
  }
}

export function roleNotFound(ref: Pick<RoleRef, 'kind' | 'name'>) {
  return notFound({ group: 'rbac.authorization.k8s.io', resource: ref.kind.toLowerCase() }, ref.name);
}

function keyIn(resource: RbacResource, { metadata }: RbacObject): string {
  return metadata.namespace ? `${resource}/${metadata.namespace}/${metadata.name}` : `${resource}/${metadata.name}`;
}
function subjectKey({ kind, name, namespace }: Subject, bindingNamespace: string): string {
  return kind === 'ServiceAccount' ? `ServiceAccount/${namespace || bindingNamespace}/${name}` : `${kind}/${name}`;
}

interface Compiled { generation: number; byNamespace: Map<string, { allowed: Allowed[]; errors: string[] }>; decisions: Map<string, AuthorizationDecision> }
/** Most remembered answers per user, and most users remembered by name; beyond them all are forgotten and worked out again. */
const decisionLimit = 4096;
const userLimit = 4096;

export function createRbacAuthorizer(index: RbacIndex): Authorizer {
  /** Authenticators hand out one object per credential, so identity is the usual way in. */
  const byObject = new WeakMap<UserInfo, Compiled>();
  const byName = new Map<string, Compiled>();

  function compiledFor(user: UserInfo): Compiled {
    let compiled = byObject.get(user);
    if (compiled?.generation === index.generation) return compiled;
    const name = `${user.name}\n${user.groups.join('\n')}`;
    compiled = byName.get(name);
    if (compiled?.generation !== index.generation) {
      compiled = { generation: index.generation, byNamespace: new Map(), decisions: new Map() };
      if (byName.size >= userLimit) byName.clear();
      byName.set(name, compiled);
    }
    byObject.set(user, compiled!);
    return compiled!;
  }
  function rulesIn(compiled: Compiled, user: UserInfo, namespace: string) {
    let rules = compiled.byNamespace.get(namespace);
    if (!rules) compiled.byNamespace.set(namespace, rules = index.rulesFor(user, namespace));
    return rules;
  }
  function decide(asked: AuthorizationAttributes): AuthorizationDecision {
    const compiled = compiledFor(asked.user);
    const key = asked.isResource ? `${asked.verb}|${asked.group}|${asked.resource}|${asked.subresource}|${asked.namespace}|${asked.name}` : `${asked.verb}|${asked.path}`;
    let decision = compiled.decisions.get(key);
    if (decision) return decision;
    const { allowed, errors } = rulesIn(compiled, asked.user, asked.isResource ? asked.namespace : '');
    const found = allowed.find(({ rule }) => ruleAllows(rule, asked));
    decision = found ? { decision: 'allow', reason: `RBAC: allowed by ${describeGrant(found.grant)}` }
      : { decision: 'none', reason: errors.length === 0 ? '' : `RBAC: ${errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`}` };
    if (compiled.decisions.size >= decisionLimit) compiled.decisions.clear();
    compiled.decisions.set(key, decision);
    return decision;
  }

  return {
    async authorize(asked) {
      const decision = decide(asked);
      if (decision.decision === 'allow' || index.isSynced) return decision;
      await index.synced(); // at start: not known yet is not a no
      return decide(asked);
    },
    async rulesFor(user, namespace) {
      if (!index.isSynced) await index.synced();
      const { allowed, errors } = index.rulesFor(user, namespace);
      const resourceRules: ResourceRule[] = [];
      const nonResourceRules: NonResourceRule[] = [];
      for (const { rule } of allowed) {
        if (rule.nonResourceURLs?.length) nonResourceRules.push({ verbs: rule.verbs, nonResourceURLs: rule.nonResourceURLs });
        if (rule.resources?.length) resourceRules.push({ verbs: rule.verbs, apiGroups: rule.apiGroups ?? [], resources: rule.resources, ...(rule.resourceNames?.length ? { resourceNames: rule.resourceNames } : {}) });
      }
      return { resourceRules, nonResourceRules, incomplete: errors.length > 0, ...(errors.length > 0 ? { evaluationError: errors.join(', ') } : {}) };
    },
  };
}

function describeGrant({ binding, subject, namespace }: Grant): string {
  const who = subject.kind === 'ServiceAccount' ? `ServiceAccount ${JSON.stringify(`${subject.name}/${subject.namespace || namespace}`)}` : `${subject.kind} ${JSON.stringify(subject.name)}`;
  const what = namespace ? `RoleBinding ${JSON.stringify(`${binding.metadata.name}/${namespace}`)}` : `ClusterRoleBinding ${JSON.stringify(binding.metadata.name)}`;
  return `${what} of ${binding.roleRef.kind} ${JSON.stringify(binding.roleRef.name)} to ${who}`;
}

export function isMaster(user: UserInfo): boolean { return user.groups.includes(systemMasters); }
