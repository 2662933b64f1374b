/** What the authorizer is asked about a request. Source: apiserver/pkg/endpoints/filters/authorization.go. */
import type { ApiRequest } from '../request.ts';
import { requireAllowed } from '../auth/authorizer.ts';
import type { AuthorizationAttributes, RequestInfo } from '../types.ts';
import type { Call } from './context.ts';

const withSelectors = new Set(['list', 'watch', 'deletecollection']);

export function attributesFor(info: RequestInfo, request: ApiRequest): AuthorizationAttributes {
  const attributes: AuthorizationAttributes = { ...info, user: request.user };
  if (info.isResource && withSelectors.has(info.verb)) {
    const fieldSelector = request.query.get('fieldSelector');
    const labelSelector = request.query.get('labelSelector');
    if (fieldSelector) attributes.fieldSelector = fieldSelector;
    if (labelSelector) attributes.labelSelector = labelSelector;
  }
  return attributes;
}

/** A second permission that a request needs, such as create for a PUT that creates. */
export async function authorizeVerb({ context, info, request }: Call, verb: string): Promise<void> {
  await requireAllowed(context.authorizer, attributesFor({ ...info, verb }, request));
}
