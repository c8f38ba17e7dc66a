import { byId, doing, getPasskey, goOn, send, show, tell } from "./seawall.js";

let csrf = "";

function done() {
  if (!goOn()) show("done", "done-heading");
}

async function begin() {
  const session = await send("GET", "/session");
  csrf = session.csrf;
  byId("who").textContent = session.name;
  show("first");
}

begin().catch((error) => {
  tell(error.message);
  const path = location.pathname + location.search;
  if (error.code === "session-ended" || error.code === "token-missing") {
    location.assign("/sign-in?return=" + encodeURIComponent(path));
  }
});

doing(byId("passkey"), "click", async () => {
  const { ticket, options } = await send("POST", "/step-up/passkey/options", undefined, csrf);
  const credential = await getPasskey(options);
  await send("POST", "/step-up/passkey", { ticket, credential }, csrf);
  done();
});

doing(byId("code-form"), "submit", async () => {
  const code = byId("code").value;
  byId("code").value = "";
  await send("POST", "/step-up/totp", { code }, csrf);
  done();
});

doing(byId("sign-out"), "click", async () => {
  // Asked for anew: the session that a factor was shown in has another name, and another word.
  const session = await send("GET", "/session");
  await send("DELETE", "/session", undefined, session.csrf);
  location.assign("/sign-in");
});
