/** Defaults of apiextensions.k8s.io/v1. Source: apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go. */
import type { Draft } from '../../base/json.ts';
import type * as v1 from './v1.ts';

export function setCustomResourceDefinitionDefaults(definition: Draft<v1.CustomResourceDefinition>): void {
  const { spec } = definition;
  if (!spec) return;
  if (spec.names) {
    spec.names.singular ||= spec.names.kind?.toLowerCase();
    if (spec.names.kind) spec.names.listKind ||= `${spec.names.kind}List`;
  }
  spec.conversion ??= { strategy: 'None' };
  const service = spec.conversion.webhook?.clientConfig?.service;
  if (service) service.port ??= 443;
}
