import { besideBareGets } from '../beside-bare-gets.ts';

export const coldEpoch = besideBareGets('cold-epoch', 'the first epoch', (source) => source.sdk());
