/** Services: what the apiserver does with them; addresses and ports come from `service-allocator.ts`. Source: Kubernetes API reference; upstream's pkg/registry/core/service. */
import { setServiceDefaults } from '../../../api/core/v1.defaults.ts';
import { services } from '../../../api/resources.ts';
import { nameIsDNS1035Label } from '../../../api/validation/names.ts';
import { entry } from '../define.ts';
import { serviceColumns } from './columns.ts';

export const serviceEntry = entry(services, {
  columns: serviceColumns, storagePrefix: '/registry/services/specs',
  fieldSelectors: { 'spec.clusterIP': ({ spec }) => spec.clusterIP ?? '', 'spec.type': ({ spec }) => spec.type ?? '' },
  strategy: { setDefaults: setServiceDefaults, validateName: nameIsDNS1035Label, generation: 'none' },
});
