"""The Bot API server: its answers, its faults, its page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from teleglas_sim.botapi.chats import NEWCOMER
from teleglas_sim.botapi.faults import KINDS
from teleglas_sim.botapi.server import BotApiServer

TOKEN = "110201543:only-for-tests"


class Client:
    """Calls the server as a bot and as a person."""

    def __init__(self, server: BotApiServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def call(self, method: str, **params: Any) -> tuple[int, Any]:
        url = f"{self.server.url}/bot{TOKEN}/{method}"
        async with self.session.post(url, json=params) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, **body: Any) -> int:
        async with self.session.post(f"{self.server.url}{path}", json=body) as answer:
            return answer.status


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    server = BotApiServer(TOKEN)
    server.chats.greet()
    await server.start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield Client(server, session)
    await server.stop()


async def test_newcomer_is_an_update_and_gets_an_answer(client: Client) -> None:
    """Updates are kept until the next ones are asked for."""
    for _ in range(2):
        _, found = await client.call("getUpdates", timeout=1)
        (update,) = found["result"]
        assert update["message"]["text"] == "/start"
    _, sent = await client.call("sendMessage", chat_id=NEWCOMER, text="Welcome")
    assert sent["result"]["text"] == "Welcome"
    _, found = await client.call("getUpdates", offset=update["update_id"] + 1)
    assert found["result"] == []


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("sendMessage", {"text": "x"}, 400),
        ("sendMessage", {"chat_id": NEWCOMER}, 400),
        ("sendMessage", {"chat_id": NEWCOMER, "text": "x" * 4_097}, 400),
        ("sendMessage", {"chat_id": 5, "text": "x"}, 400),
        ("sendPhoto", {"chat_id": NEWCOMER, "caption": "x"}, 400),
        ("editMessageText", {"chat_id": NEWCOMER, "message_id": 1, "text": "x"}, 400),
        ("launchRocket", {}, 404),
    ],
)
async def test_call_that_the_api_would_refuse_is_refused(
    client: Client, method: str, params: dict[str, Any], code: int
) -> None:
    """With the API's own codes."""
    status, answer = await client.call(method, **params)
    assert (status, answer["ok"], answer["error_code"]) == (code, False, code)


async def test_wrong_token_is_no_bot(client: Client) -> None:
    """Nobody else can write."""
    url = f"{client.server.url}/bot1:x/getMe"
    async with client.session.get(url) as answer:
        assert answer.status == 401


async def test_same_edit_again_is_not_modified(client: Client) -> None:
    """As the API says it."""
    _, sent = await client.call("sendMessage", chat_id=NEWCOMER, text="a")
    where = {"chat_id": NEWCOMER, "message_id": sent["result"]["message_id"], "text": "b"}
    assert (await client.call("editMessageText", **where))[0] == 200
    status, answer = await client.call("editMessageText", **where)
    assert status == 400
    assert "message is not modified" in answer["description"]


@pytest.mark.parametrize("kind", KINDS)
async def test_fault_goes_wrong_as_ordered_and_is_then_over(client: Client, kind: str) -> None:
    """What is taken stands in the chat, what is not does not."""
    ordered = {"kinds": [kind], "methods": ["sendMessage"], "count": 1, "hang_s": 0.05}
    assert await client.post("/control/fault", **ordered) == 200
    before = len(client.server.chats.messages)
    went_wrong = False
    try:
        status, _ = await client.call("sendMessage", chat_id=NEWCOMER, text="first")
        went_wrong = status != 200
    except (TimeoutError, aiohttp.ClientError, ValueError):
        went_wrong = True
    assert went_wrong
    taken = kind.endswith("_taken")
    assert len(client.server.chats.messages) - before == int(taken)
    assert (await client.call("sendMessage", chat_id=NEWCOMER, text="second"))[0] == 200


async def test_page_shows_the_chat_and_people_can_type_and_press(client: Client) -> None:
    """The page needs nothing from elsewhere."""
    async with client.session.get(f"{client.server.url}/") as answer:
        page = await answer.text()
    assert "https://" not in page
    assert "http://" not in page
    keyboard = {"inline_keyboard": [[{"text": "Why", "callback_data": "why"}]]}
    await client.call("sendMessage", chat_id=NEWCOMER, text="alert", reply_markup=keyboard)
    async with client.session.get(f"{client.server.url}/chat") as answer:
        shown = (await answer.json())["messages"][-1]
    assert shown["keyboard"][0][0]["text"] == "Why"
    assert await client.post("/chat/press", message_id=shown["id"], data="why") == 200
    assert await client.post("/chat/say", text="/status") == 200
    _, found = await client.call("getUpdates")
    kinds = [sorted(update) for update in found["result"]]
    assert kinds[1:] == [["callback_query", "update_id"], ["message", "update_id"]]


async def test_person_who_blocks_the_bot_hears_nothing(client: Client) -> None:
    """Until they write again."""
    await client.post("/control/block")
    assert (await client.call("sendMessage", chat_id=NEWCOMER, text="x"))[0] == 403
    await client.post("/chat/say", text="/start")
    assert (await client.call("sendMessage", chat_id=NEWCOMER, text="x"))[0] == 200
