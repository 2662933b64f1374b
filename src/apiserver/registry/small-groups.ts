/**
 * Groups of few kinds: admissionregistration, apiextensions, apiregistration, certificates, coordination, flowcontrol, node, policy,
 * resource, scheduling, and the reviews of authentication and authorization. Source: Kubernetes API reference; upstream's pkg/registry.
 */
import type * as admissionV1 from '../../api/admissionregistration/v1.ts';
import type * as apiregistrationV1 from '../../api/apiregistration/v1.ts';
import type * as certificatesV1 from '../../api/certificates/v1.ts';
import type * as coordinationV1 from '../../api/coordination/v1.ts';
import type * as flowcontrolV1 from '../../api/flowcontrol/v1.ts';
import type * as nodeV1 from '../../api/node/v1.ts';
import type * as policyV1 from '../../api/policy/v1.ts';
import type * as resourceV1 from '../../api/resource/v1.ts';
import type * as schedulingV1 from '../../api/scheduling/v1.ts';
import type { Column } from '../types.ts';
import * as admissionDefaults from '../../api/admissionregistration/v1.defaults.ts';
import { setAPIServiceDefaults } from '../../api/apiregistration/v1.defaults.ts';
import { setFlowSchemaDefaults, setPriorityLevelDefaults } from '../../api/flowcontrol/v1.defaults.ts';
import { setPriorityClassDefaults } from '../../api/scheduling/v1.defaults.ts';
import { setResourceClaimDefaults, setResourceClaimTemplateDefaults } from '../../api/resource/v1.defaults.ts';
import * as admissionValidation from '../../api/admissionregistration/v1.validation.ts';
import { validateCertificateSigningRequest, validateCertificateSigningRequestUpdate } from '../../api/certificates/v1.validation.ts';
import { definitionStrategy } from '../apiextensions/definition-strategy.ts';
import { localCondition } from '../aggregator/availability.ts';
import { validateAPIService } from '../../api/apiregistration/v1.validation.ts';
import { validateLease } from '../../api/coordination/v1.validation.ts';
import { validateRuntimeClass, validateRuntimeClassUpdate } from '../../api/node/v1.validation.ts';
import { validatePodDisruptionBudget, validatePodDisruptionBudgetStatus } from '../../api/policy/v1.validation.ts';
import { validatePriorityClass, validatePriorityClassUpdate } from '../../api/scheduling/v1.validation.ts';
import { semanticEqual } from '../../api/validation/equality.ts';
import type { Draft } from '../../base/json.ts';
import type { ApiObject } from '../../client/client.ts';
import type { Strategy } from '../types.ts';
import { timestamp } from '../../base/clock.ts';
import { humanDuration } from '../../api/human-duration.ts';
import * as resources from '../../api/resources.ts';
import { nameIsPathSegment } from '../../api/validation/names.ts';
import { ageColumn, boolean, column, entry, integer, nameColumn } from './define.ts';

// ---- admissionregistration.k8s.io

const webhookCount = column<admissionV1.ValidatingWebhookConfiguration | admissionV1.MutatingWebhookConfiguration>('Webhooks', (object) => object.webhooks?.length ?? 0, { type: 'integer', description: 'Webhooks indicates the number of webhooks registered in this configuration' });
const webhookColumns: readonly Column<admissionV1.ValidatingWebhookConfiguration | admissionV1.MutatingWebhookConfiguration>[] = [nameColumn, webhookCount, ageColumn];
const paramKindText = (kind: admissionV1.ParamKind | undefined) => (kind ? `${kind.apiVersion}/${kind.kind}` : '<unset>');
function paramRefText(reference: admissionV1.ParamRef | undefined): string {
  if (!reference) return '<unset>';
  const name = reference.name || '*';
  return reference.namespace ? `${reference.namespace}/${name}` : name;
}
const bindingColumns: readonly Column<admissionV1.ValidatingAdmissionPolicyBinding | admissionV1.MutatingAdmissionPolicyBinding>[] = [
  nameColumn,
  column('PolicyName', ({ spec }) => spec?.policyName ?? '', { description: 'PolicyName indicates the policy definition which the policy binding binded to' }),
  column('ParamRef', ({ spec }) => paramRefText(spec?.paramRef), { description: 'ParamRef indicates the param object which sets the configration param' }),
  ageColumn,
];

// ---- certificates.k8s.io

function csrCondition({ status }: certificatesV1.CertificateSigningRequest): string {
  const has = (type: string) => (status?.conditions ?? []).some((condition) => condition.type === type);
  let text = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending';
  if (has('Failed')) text += ',Failed';
  if (status?.certificate) text += ',Issued';
  return text;
}
const csrColumns: readonly Column<certificatesV1.CertificateSigningRequest>[] = [
  nameColumn, ageColumn,
  column('SignerName', ({ spec }) => spec.signerName || '<none>'),
  column('Requestor', ({ spec }) => spec.username ?? ''),
  column('RequestedDuration', ({ spec }) => (spec.expirationSeconds === undefined ? '<none>' : humanDuration(spec.expirationSeconds * 1000))),
  column('Condition', csrCondition),
];

// ---- flowcontrol

const flowSchemaColumns: readonly Column<flowcontrolV1.FlowSchema>[] = [
  nameColumn,
  column('PriorityLevel', ({ spec }) => spec?.priorityLevelConfiguration?.name || '<none>'),
  column('MatchingPrecedence', ({ spec }) => spec?.matchingPrecedence ?? 0, integer),
  column('DistinguisherMethod', ({ spec }) => spec?.distinguisherMethod?.type ?? '<none>'),
  ageColumn,
  column('MissingPL', ({ status }) => (status?.conditions ?? []).find((condition) => condition.type === 'Dangling')?.status ?? '?'),
];
const queuing = (object: flowcontrolV1.PriorityLevelConfiguration) => object.spec?.limited?.limitResponse?.queuing;
const priorityLevelColumns: readonly Column<flowcontrolV1.PriorityLevelConfiguration>[] = [
  nameColumn,
  column('Type', ({ spec }) => spec?.type ?? ''),
  column('NominalConcurrencyShares', ({ spec }) => String(spec?.limited?.nominalConcurrencyShares ?? spec?.exempt?.nominalConcurrencyShares ?? '<none>')),
  column('Queues', (object) => String(queuing(object)?.queues ?? '<none>')),
  column('HandSize', (object) => String(queuing(object)?.handSize ?? '<none>')),
  column('QueueLengthLimit', (object) => String(queuing(object)?.queueLengthLimit ?? '<none>')),
  ageColumn,
];

// ---- policy, resource, scheduling, apiregistration

const orNotSet = (value: number | string | undefined) => (value === undefined ? 'N/A' : String(value));
const disruptionBudgetColumns: readonly Column<policyV1.PodDisruptionBudget>[] = [
  nameColumn,
  column('Min Available', ({ spec }) => orNotSet(spec?.minAvailable), { description: 'The minimum number of pods that must be available.' }),
  column('Max Unavailable', ({ spec }) => orNotSet(spec?.maxUnavailable), { description: 'The maximum number of pods that may be unavailable.' }),
  column('Allowed Disruptions', ({ status }) => status?.disruptionsAllowed ?? 0, { type: 'integer', description: 'Calculated number of pods that may be disrupted at this time.' }),
  ageColumn,
];
function claimState({ metadata, status }: resourceV1.ResourceClaim): string {
  const deleted = metadata.deletionTimestamp !== undefined;
  const states = deleted ? ['deleted'] : [];
  if (!status?.allocation) { if (!deleted) states.push('pending'); }
  else { states.push('allocated'); if ((status.reservedFor?.length ?? 0) > 0) states.push('reserved'); }
  return states.join(',');
}
const priorityClassColumns: readonly Column<schedulingV1.PriorityClass>[] = [
  nameColumn,
  column('Value', (object) => object.value ?? 0, integer),
  column('Global-Default', (object) => object.globalDefault ?? false, boolean),
  ageColumn,
  column('PreemptionPolicy', (object) => object.preemptionPolicy ?? ''),
];
function availability({ status }: apiregistrationV1.APIService): string {
  const condition = (status?.conditions ?? []).find((one) => one.type === 'Available');
  if (!condition) return 'Unknown';
  return condition.status === 'True' ? 'True' : `${condition.status} (${condition.reason ?? ''})`;
}

/** Kinds without a spec that have a generation all the same: it counts changes of what `part` picks. */
function generationOf<T extends ApiObject>(part: (object: T) => unknown): Pick<Strategy<T>, 'prepareForCreate' | 'prepareForUpdate'> {
  return {
    prepareForCreate(object) { (object as Draft<ApiObject>).metadata.generation = 1; },
    prepareForUpdate(object, old) {
      (object as Draft<ApiObject>).metadata.generation = (old.metadata.generation ?? 1) + (semanticEqual(part(object as unknown as T), part(old)) ? 0 : 1);
    },
  };
}
const webhooksOf = (object: ApiObject) => (object as { readonly webhooks?: unknown }).webhooks;


export const smallGroupEntries = [
  entry(resources.mutatingadmissionpolicies, {
    columns: [nameColumn, column('Mutations', ({ spec }: admissionV1.MutatingAdmissionPolicy) => spec?.mutations?.length ?? 0, integer), column('ParamKind', ({ spec }: admissionV1.MutatingAdmissionPolicy) => paramKindText(spec?.paramKind)), ageColumn],
    strategy: { setDefaults: admissionDefaults.setAdmissionPolicyDefaults, validate: admissionValidation.validateMutatingPolicy, validateUpdate: admissionValidation.validateMutatingPolicy },
  }),
  entry(resources.mutatingadmissionpolicybindings, { columns: bindingColumns, strategy: { setDefaults: admissionDefaults.setAdmissionPolicyBindingDefaults } }),
  entry(resources.mutatingwebhookconfigurations, { columns: webhookColumns, strategy: { ...generationOf(webhooksOf), setDefaults: admissionDefaults.setMutatingWebhookDefaults, validate: admissionValidation.validateWebhookConfiguration, validateUpdate: admissionValidation.validateWebhookConfiguration } }),
  entry(resources.validatingadmissionpolicies, {
    columns: [nameColumn, column('Validations', ({ spec }: admissionV1.ValidatingAdmissionPolicy) => spec?.validations?.length ?? 0, integer), column('ParamKind', ({ spec }: admissionV1.ValidatingAdmissionPolicy) => paramKindText(spec?.paramKind)), ageColumn],
    strategy: { setDefaults: admissionDefaults.setAdmissionPolicyDefaults, validate: admissionValidation.validateAdmissionPolicy, validateUpdate: admissionValidation.validateAdmissionPolicy },
  }),
  entry(resources.validatingadmissionpolicybindings, { columns: bindingColumns, strategy: { setDefaults: admissionDefaults.setAdmissionPolicyBindingDefaults, validate: admissionValidation.validatePolicyBinding, validateUpdate: admissionValidation.validatePolicyBinding } }),
  entry(resources.validatingwebhookconfigurations, { columns: webhookColumns, strategy: { ...generationOf(webhooksOf), setDefaults: admissionDefaults.setValidatingWebhookDefaults, validate: admissionValidation.validateWebhookConfiguration, validateUpdate: admissionValidation.validateWebhookConfiguration } }),

  entry(resources.customresourcedefinitions, { storagePrefix: '/registry/apiextensions.k8s.io/customresourcedefinitions', strategy: definitionStrategy }),
  entry(resources.apiservices, {
    storagePrefix: '/registry/apiregistration.k8s.io/apiservices',
    columns: [
      nameColumn,
      column('Service', ({ spec }: apiregistrationV1.APIService) => (spec?.service ? `${spec.service.namespace}/${spec.service.name}` : 'Local'), { description: 'The reference to the service that hosts this API endpoint.' }),
      column('Available', availability, { description: 'Whether this service is available.' }),
      ageColumn,
    ],
    strategy: {
      setDefaults: setAPIServiceDefaults, generation: 'none',
      prepareForCreate(service, { clock }) { service.status = service.spec?.service ? {} : { conditions: [localCondition(clock.now())] }; },
      validateName: nameIsPathSegment, validate: validateAPIService, validateUpdate: validateAPIService,
    },
  }),

  entry(resources.certificatesigningrequests, {
    columns: csrColumns,
    strategy: {
      generation: 'none', validateName: nameIsPathSegment, validate: validateCertificateSigningRequest,
      /** Who asks is the server's knowledge, not the client's claim. */
      prepareForCreate(csr, { user }) {
        csr.spec.username = user.name;
        if (user.uid) csr.spec.uid = user.uid; else delete csr.spec.uid;
        csr.spec.groups = [...user.groups];
        if (user.extra && Object.keys(user.extra).length > 0) csr.spec.extra = Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])); else delete csr.spec.extra;
        csr.status = {};
      },
      prepareForUpdate(csr, old, { subresource, clock }) {
        csr.spec = structuredClone(old.spec) as typeof csr.spec;
        const status = structuredClone(old.status ?? {}) as NonNullable<typeof csr.status>;
        const conditions = csr.status?.conditions;
        if (subresource === 'approval') csr.status = { ...status, ...(conditions ? { conditions } : {}) };
        else if (subresource === '') csr.status = status;
        const now = timestamp(clock.now());
        for (const condition of csr.status?.conditions ?? []) {
          const before = (old.status?.conditions ?? []).find((one) => one.type === condition.type);
          condition.lastUpdateTime ??= now;
          condition.lastTransitionTime ??= before?.lastTransitionTime ?? now;
        }
      },
      validateUpdate: (csr, old, { subresource }) => validateCertificateSigningRequestUpdate(csr, old, subresource),
      validateStatusUpdate: (csr, old) => validateCertificateSigningRequestUpdate(csr, old, 'status'),
    },
    fieldSelectors: { 'spec.signerName': ({ spec }) => spec.signerName },
  }),
  entry(resources.leases, {
    columns: [nameColumn, column('Holder', ({ spec }: coordinationV1.Lease) => spec?.holderIdentity ?? ''), ageColumn],
    strategy: { allowCreateOnUpdate: true, allowUnconditionalUpdate: false, generation: 'none', validate: validateLease, validateUpdate: validateLease },
  }),
  entry(resources.flowschemas, { columns: flowSchemaColumns, strategy: { setDefaults: setFlowSchemaDefaults } }),
  entry(resources.prioritylevelconfigurations, { columns: priorityLevelColumns, strategy: { setDefaults: setPriorityLevelDefaults } }),
  entry(resources.runtimeclasses, { columns: [nameColumn, column('Handler', (object: nodeV1.RuntimeClass) => object.handler), ageColumn], strategy: { validate: validateRuntimeClass, validateUpdate: validateRuntimeClassUpdate } }),
  entry(resources.poddisruptionbudgets, { columns: disruptionBudgetColumns, strategy: { allowUnconditionalUpdate: false, validate: validatePodDisruptionBudget, validateUpdate: validatePodDisruptionBudget, validateStatusUpdate: validatePodDisruptionBudgetStatus } }),
  entry(resources.priorityclasses, { columns: priorityClassColumns, strategy: { ...generationOf((object) => ({ ...object, metadata: undefined })), setDefaults: setPriorityClassDefaults, validate: validatePriorityClass, validateUpdate: validatePriorityClassUpdate } }),

  entry(resources.deviceclasses, { columns: [nameColumn, ageColumn] }),
  entry(resources.resourceclaims, { columns: [nameColumn, column('State', claimState, { description: 'A summary of the current state (allocated, pending, reserved, etc.).' }), ageColumn], strategy: { setDefaults: setResourceClaimDefaults } }),
  entry(resources.resourceclaimtemplates, { columns: [nameColumn, ageColumn], strategy: { setDefaults: setResourceClaimTemplateDefaults, generation: 'none' } }),
  entry<resourceV1.ResourceSlice>(resources.resourceslices, {
    columns: [
      nameColumn,
      column<resourceV1.ResourceSlice>('Node', ({ spec }) => spec.nodeName ?? (spec.allNodes ? '<all>' : spec.nodeSelector ? '<some>' : '<none>')),
      column('Driver', ({ spec }: resourceV1.ResourceSlice) => spec.driver), column('Pool', ({ spec }: resourceV1.ResourceSlice) => spec.pool?.name ?? ''), ageColumn,
    ],
    fieldSelectors: { 'spec.nodeName': ({ spec }) => spec.nodeName ?? '', 'spec.driver': ({ spec }) => spec.driver },
  }),

  // Reviews store nothing; who answers them is `auth/`.
  entry(resources.selfsubjectreviews), entry(resources.tokenreviews),
  entry(resources.localsubjectaccessreviews), entry(resources.selfsubjectaccessreviews), entry(resources.selfsubjectrulesreviews), entry(resources.subjectaccessreviews),
];
