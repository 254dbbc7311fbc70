import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { createOf } from './openai.mjs';

export default createOf({ OpenAI, zodResponseFormat, zodTextFormat });
