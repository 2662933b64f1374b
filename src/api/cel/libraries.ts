/** The function libraries of Kubernetes' environment. Source: apiserver/pkg/cel/environment/base.go. */
import { authorizerLibrary } from './authorizer.ts';
import { listsLibrary, regexLibrary } from './collections.ts';
import { kubernetesLibrary } from './kubernetes.ts';
import { standardLibrary } from './standard.ts';
import { stringsLibrary } from './strings.ts';

export const libraries = [standardLibrary, stringsLibrary, listsLibrary, regexLibrary, kubernetesLibrary, authorizerLibrary];
