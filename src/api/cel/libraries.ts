/** The function libraries of Kubernetes' environment. Source: apiserver/pkg/cel/environment/base.go. */
import { standardLibrary } from './standard.ts';

export const libraries = [standardLibrary];
