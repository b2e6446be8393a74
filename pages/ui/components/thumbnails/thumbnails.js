// Small pictures, each with a cross that removes it. Names enter the page through textContent and attributes only.

/** Streamlit calls this at the first drawing and again whenever the data or the theme changed. */
export default function ({ parentElement, data, setTriggerValue }) {
  let list = parentElement.querySelector(".kd-thumbs");
  if (!list) {
    list = document.createElement("ul");
    list.className = "kd-thumbs";
    parentElement.append(list);
  }
  list.replaceChildren(
    ...data.pictures.map((picture) => {
      const image = document.createElement("img");
      image.src = picture.url;
      image.alt = picture.name;
      const cross = document.createElement("button");
      cross.type = "button";
      cross.textContent = "×";
      cross.title = data.remove.replace("{name}", () => picture.name);
      cross.setAttribute("aria-label", cross.title);
      cross.addEventListener("click", () => setTriggerValue("removed", picture.key));
      const item = document.createElement("li");
      item.append(image, cross);
      return item;
    }),
  );
}
