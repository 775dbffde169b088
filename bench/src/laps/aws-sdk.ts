// GETs by @aws-sdk/client-s3 alone: `node aws-sdk.js ENDPOINT BUCKET BYTES`; a line is `AT_ONCE ORDER`.
import { readFile } from 'node:fs/promises';

import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';

import { keyOf } from '../object-server.ts';
import { answerLaps, orderOf } from './lap-lines.ts';

const [endpoint = '', bucket = '', sizeText = ''] = process.argv.slice(2);
const size = Number(sizeText);
const socketsMax = 512;
const requestHandler = { httpAgent: { maxSockets: socketsMax } };
const client = new S3Client({ endpoint, forcePathStyle: true, requestHandler });

async function get(number: number): Promise<void> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(number) }));
  const bytes = await Body?.transformToByteArray();
  if (bytes?.length !== size) throw new Error(`${keyOf(number)} came with ${bytes?.length} bytes`);
}

await answerLaps({
  async prepare(line) {
    const [atOnce = '', order = ''] = line.split(' ');
    return { atOnce: Number(atOnce), order: orderOf(await readFile(order)) };
  },
  async lap({ atOnce, order }) {
    let next = 0;
    const getOn = async (): Promise<void> => {
      for (let i = next++; i < order.length; i = next++) await get(order[i] ?? 0);
    };
    await Promise.all(Array.from({ length: atOnce }, getOn));
    return order.length;
  },
});
client.destroy();
