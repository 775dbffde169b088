import { besideBareGets } from '../beside-bare-gets.ts';

export const coldLoad = besideBareGets('cold-load', '`millpool load` of everything', (source) => source.load());
