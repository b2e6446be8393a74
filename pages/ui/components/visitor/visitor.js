// Writes the visitor's random id into a first-party cookie, so that a reload finds the visitor's runs again.
export default function ({ data }) {
  const age = 60 * 60 * 24 * 180;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${data.name}=${data.value}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
}
