import { byId, doing, makePasskey, send, show, tell } from "./seawall.js";

// The secret leaves the address and the history before anything else happens.
const link = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

let begun = null;
let passkey = null;

async function begin() {
  begun = await send("POST", "/enrol/begin", { link });
  byId("who").textContent = `${begun.title} (${begun.user})`;
  byId("secret").textContent = begun.secret.replace(/(.{4})(?=.)/g, "$1 ");
  byId("uri").href = begun.uri;
  if (begun.keeps_password) byId("password-note").textContent = "Leave this empty to keep yours.";
  show("enrol-form");
}

begin().catch((error) => tell(error.message));

doing(byId("make-passkey"), "click", async () => {
  passkey = await makePasskey(begun.options);
  byId("passkey-made").textContent = "A passkey was made.";
});

doing(byId("enrol-form"), "submit", async () => {
  const password = byId("password").value;
  if (password !== byId("password-again").value) throw new Error("The two passwords differ.");
  const made = await send("POST", "/enrol/finish", {
    link,
    ticket: begun.ticket,
    password,
    passkey,
    passkey_name: byId("passkey-name").value,
    code: byId("code").value,
  });
  byId("password").value = byId("password-again").value = "";
  byId("codes").replaceChildren(...made.recovery_codes.map((code) => {
    const item = document.createElement("li");
    item.textContent = code;
    return item;
  }));
  byId("codes-part").hidden = made.recovery_codes.length === 0;
  show("done", "done-heading");
});

doing(byId("copy"), "click", async () => {
  const codes = [...byId("codes").children].map((item) => item.textContent);
  await navigator.clipboard.writeText(codes.join("\n"));
  byId("copied").textContent = "The codes were copied.";
});
