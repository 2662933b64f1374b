/**
 * What expressions of admission may name: the types of `request`, `namespaceObject` and the rest, and the messages that mutations make.
 * Validation of policies and webhook configurations and admission itself declare the same. Source: apiserver/pkg/admission/plugin/cel/compile.go.
 */
import { authorizerTypeName, resourceCheckTypeName } from './authorizer.ts';
import type { Declarations } from './check.ts';
import { compile, CompileError, type CompileOptions } from './cel.ts';
import { bool, dyn, int, list, map, objectType, opaque, string, timestamp, type CelType } from './types.ts';
import type { Compiled } from './cel.ts';

const gvk = objectType('kubernetes.GroupVersionKind', { group: string, version: string, kind: string });
const gvr = objectType('kubernetes.GroupVersionResource', { group: string, version: string, resource: string });
const userInfo = objectType('kubernetes.UserInfo', { username: string, uid: string, groups: list(string), extra: map(string, list(string)) });
export const requestType: CelType = objectType('kubernetes.AdmissionRequest', {
  kind: gvk, resource: gvr, subResource: string, requestKind: gvk, requestResource: gvr, requestSubResource: string, name: string, namespace: string, operation: string, userInfo, dryRun: bool, options: dyn,
});
const texts = map(string, string);
export const namespaceType: CelType = objectType('kubernetes.Namespace', {
  metadata: objectType('kubernetes.NamespaceMetadata', {
    name: string, generateName: string, namespace: string, labels: texts, annotations: texts, UID: string, uid: string, creationTimestamp: timestamp, deletionGracePeriodSeconds: int, deletionTimestamp: timestamp, generation: int, resourceVersion: string, finalizers: list(string),
  }),
  spec: objectType('kubernetes.NamespaceSpec', { finalizers: list(string) }), status: objectType('kubernetes.NamespaceStatus', { phase: string }),
});

export interface VariableChoice { params?: boolean; authorizer?: boolean; /** The `variables` of a policy so far. */ composed?: ReadonlyMap<string, CelType>; /** For type checking; default dyn. */ object?: CelType; paramsType?: CelType; /** Messages that expressions may make. */ message?: NonNullable<Declarations['message']> }
export function admissionVariables({ params = false, authorizer = true, composed, object = dyn, paramsType = dyn }: VariableChoice): Record<string, CelType> {
  return {
    object, oldObject: object, request: requestType, namespaceObject: namespaceType, ...(params ? { params: paramsType } : {}),
    ...(authorizer ? { authorizer: opaque(authorizerTypeName), 'authorizer.requestResource': opaque(resourceCheckTypeName) } : {}),
    ...(composed ? { variables: objectType('kubernetes.variables', composed) } : {}),
  };
}


const patchFields: Readonly<Record<string, CelType>> = { op: string, path: string, from: string, value: dyn };
/** `Object` and its parts take any field; a part's type is its path. */
export function mutationMessages(type: string): ((field: string) => CelType | undefined) | undefined {
  if (type === 'JSONPatch') return (field) => (Object.hasOwn(patchFields, field) ? patchFields[field] : undefined);
  return type === 'Object' || type.startsWith('Object.') ? () => dyn : undefined;
}
export const patchListType: CelType = list(opaque('JSONPatch'));
export const configurationType: CelType = opaque('Object');

/** An expression, or why it does not compile. */
export interface Expression { source: string; compiled?: Compiled; fault?: string }
export function expression(source: string, options: CompileOptions): Expression {
  try { return { source, compiled: compile(source, options) }; } catch (err) {
    if (err instanceof CompileError) return { source, fault: err.message };
    throw err;
  }
}

/** Each variable sees those before it. */
export function compileVariables(variables: readonly { readonly name: string; readonly expression: string }[] | undefined, choice: VariableChoice): { expressions: ReadonlyMap<string, Expression>; declared: Record<string, CelType> } {
  const composed = new Map<string, CelType>();
  const expressions = new Map<string, Expression>();
  for (const variable of variables ?? []) {
    const made = expression(variable.expression, { variables: admissionVariables({ ...choice, composed: new Map(composed) }), returns: 'any', ...(choice.message ? { message: choice.message } : {}) });
    expressions.set(variable.name, made);
    composed.set(variable.name, made.compiled?.type ?? dyn);
  }
  return { expressions, declared: admissionVariables({ ...choice, composed }) };
}
