/** Defaults of admissionregistration.k8s.io/v1. Source: Kubernetes API reference; upstream's pkg/apis/admissionregistration/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

interface Webhook {
  failurePolicy?: string; matchPolicy?: string; timeoutSeconds?: number; reinvocationPolicy?: string;
  namespaceSelector?: object; objectSelector?: object;
  rules?: { scope?: string }[]; clientConfig: { service?: { port?: number } };
}
function setWebhookDefaults(webhook: Webhook): void {
  webhook.failurePolicy ??= 'Fail';
  webhook.matchPolicy ??= 'Equivalent';
  webhook.namespaceSelector ??= {};
  webhook.objectSelector ??= {};
  webhook.timeoutSeconds ??= 10;
  for (const rule of webhook.rules ?? []) rule.scope ??= '*';
  if (webhook.clientConfig?.service) webhook.clientConfig.service.port ??= 443;
}
export function setValidatingWebhookDefaults(configuration: Draft<v1.ValidatingWebhookConfiguration>): void {
  for (const webhook of configuration.webhooks ?? []) setWebhookDefaults(webhook as Webhook);
}
export function setMutatingWebhookDefaults(configuration: Draft<v1.MutatingWebhookConfiguration>): void {
  for (const webhook of configuration.webhooks ?? []) {
    setWebhookDefaults(webhook as Webhook);
    webhook.reinvocationPolicy ??= 'Never';
  }
}
function setMatchDefaults(match: Draft<v1.MatchResources> | undefined): void {
  if (!match) return;
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...match.resourceRules ?? [], ...match.excludeResourceRules ?? []]) rule.scope ??= '*';
}
export function setAdmissionPolicyDefaults({ spec }: Draft<v1.ValidatingAdmissionPolicy> | Draft<v1.MutatingAdmissionPolicy>): void {
  if (!spec) return;
  spec.failurePolicy ??= 'Fail';
  setMatchDefaults(spec.matchConstraints);
}
export function setAdmissionPolicyBindingDefaults({ spec }: Draft<v1.ValidatingAdmissionPolicyBinding> | Draft<v1.MutatingAdmissionPolicyBinding>): void {
  setMatchDefaults(spec?.matchResources);
}
