export { type LayoutField, LayoutVector } from './layout-vector.ts';
