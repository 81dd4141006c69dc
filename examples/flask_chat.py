"""A streaming chat page on Flask: `gunicorn -k gthread --threads 40 flask_chat:app`."""

import os

import flask

import millstream
from millstream import ui

app = flask.Flask(__name__)
client = millstream.Client("openai", base_url=os.environ.get("OPENAI_BASE_URL"))


@app.get("/")
def page() -> str:
    return ui.page("/chat")


@app.post("/chat")
def chat() -> flask.Response:
    messages = ui.messages(flask.request.get_json())
    return ui.flask_response(ui.sse(client.stream(model="gpt-5-mini", messages=messages)))
