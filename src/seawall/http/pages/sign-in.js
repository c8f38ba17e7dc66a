import { byId, doing, getPasskey, goOn, send, show } from "./seawall.js";

let begun = null;

function done(who) {
  byId("who").textContent = who.user;
  if (!goOn()) show("done", "done-heading");
}

doing(byId("passkey"), "click", async () => {
  const { ticket, options } = await send("POST", "/sign-in/passkey/options");
  const credential = await getPasskey(options);
  done(await send("POST", "/sign-in/passkey", { ticket, credential }));
});

doing(byId("password-form"), "submit", async () => {
  const user = byId("user").value;
  const password = byId("password").value;
  byId("password").value = "";
  begun = await send("POST", "/sign-in/password", { user, password });
  show("second", "second-heading");
});

// What was begun is used once, right or wrong: then it begins again.
async function second(work) {
  try {
    await work(begun);
  } catch (error) {
    if (error.code) show("first");
    throw error;
  }
}

doing(byId("code-form"), "submit", () => second(async ({ ticket }) => {
  const code = byId("code").value;
  byId("code").value = "";
  done(await send("POST", "/sign-in/totp", { ticket, code }));
}));

doing(byId("second-passkey"), "click", () => second(async ({ ticket, options }) => {
  const credential = await getPasskey(options);
  done(await send("POST", "/sign-in/password-passkey", { ticket, credential }));
}));

doing(byId("recovery-form"), "submit", () => second(async ({ ticket }) => {
  const code = byId("recovery").value;
  byId("recovery").value = "";
  const { path } = await send("POST", "/sign-in/recovery", { ticket, code });
  location.assign(path);
}));

doing(byId("back"), "click", async () => show("first"));

doing(byId("sign-out"), "click", async () => {
  const { csrf } = await send("GET", "/session");
  await send("DELETE", "/session", undefined, csrf);
  show("first");
});
