/** serviceaccounts/token: hands the request to the token issuer. Source: upstream's pkg/registry/core/serviceaccount/storage/token.go. */
import type { JsonObject } from '../../base/json.ts';
import { badRequest } from '../../api/meta/status.ts';
import type { ApiResult } from '../request.ts';
import { admit, validateAdmission } from './admission.ts';
import { decodeBody, expectedKind, isDryRun } from './body.ts';
import { existing, noSuchResource, type Call } from './context.ts';
import { attributesOf } from './write.ts';

export async function requestToken(call: Call): Promise<ApiResult> {
  const { context, request, info } = call;
  if (!context.issueToken) throw noSuchResource();
  const tokenRequest = decodeBody(request, expectedKind('authentication.k8s.io/v1', 'TokenRequest', 'authentication/v1.TokenRequest'));
  const meta = (tokenRequest.metadata ??= {}) as JsonObject;
  if (meta.name && meta.name !== info.name) throw badRequest(`metadata.name: Invalid value: ${JSON.stringify(meta.name)}: must match the service account name if specified`);
  if (meta.namespace && meta.namespace !== info.namespace) throw badRequest(`metadata.namespace: Invalid value: ${JSON.stringify(meta.namespace)}: must match the service account namespace if specified`);
  meta.name = info.name;
  meta.namespace = info.namespace;
  const dryRun = isDryRun(request.query.all('dryRun'));
  const serviceAccount = await existing(call);
  const attributes = attributesOf(call, 'CREATE', dryRun, { object: tokenRequest, options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' } });
  await admit(context.admission, attributes);
  await validateAdmission(context.admission, attributes);
  const answer = await context.issueToken({ namespace: info.namespace, name: info.name, serviceAccount: serviceAccount.object as unknown as JsonObject, request: tokenRequest, user: request.user });
  return { type: 'value', code: 201, value: answer };
}
