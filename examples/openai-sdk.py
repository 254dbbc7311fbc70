# The same with OpenAI's SDK for Python: pip install openai. Needs an instance (npm start).
import os
import time

from openai import OpenAI

url = os.environ.get("O3Q_URL", "http://127.0.0.1:3000")
client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("O3Q_API_KEY", "none"))

# In the background: this program may end now, and another one read the answer tomorrow.
response = client.responses.create(model="o3", input="Why is the sky blue?", background=True)
while response.status in ("queued", "in_progress"):
    time.sleep(0.5)
    response = client.responses.retrieve(response.id)
print(response.status, response.output_text)

# As a stream that goes on where it broke off, after any number of seconds or days.
response_id, last = "", -1
for event in client.responses.create(
    model="o3", input="Why is the sea blue?", background=True, stream=True
):
    if event.type == "response.created":
        response_id = event.response.id
    last = event.sequence_number
    if event.type == "response.output_text.delta":
        break  # As if the connection had gone.
for event in client.responses.retrieve(response_id, stream=True, starting_after=last):
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()

# In the foreground: held open for as long as the model thinks, and bought once however often the SDK tries.
print(client.responses.create(model="o3", input="Why is grass not blue?").output_text)

# As a chat, for programs that know no responses. It is a response all the same, and as durable.
for chunk in client.chat.completions.create(
    model="o3", messages=[{"role": "user", "content": "Why is snow not blue?"}], stream=True
):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
