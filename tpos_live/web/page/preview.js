// The preview of the output: the server sends images only while the preview is visible.


export function preview(show) {
  const box = document.getElementById("preview");
  const canvas = box.querySelector("canvas");
  const text = document.getElementById("preview-text");
  let seen = true;
  let on = false;
  const update = (again) => {
    const wanted = seen && !document.hidden;
    if (wanted !== on || again) show.send({ preview: wanted });
    on = wanted;
  };
  new IntersectionObserver(([entry]) => {
    seen = entry.isIntersecting;
    update();
  }).observe(box);
  document.addEventListener("visibilitychange", () => update());
  show.on("connected", (connected) => connected && update(true));
  show.on("image", async (blob) => {
    try {
      const image = await createImageBitmap(blob);
      if (canvas.width !== image.width || canvas.height !== image.height) {
        canvas.width = image.width;
        canvas.height = image.height;
      }
      canvas.getContext("2d").drawImage(image, 0, 0);
      image.close();
    } finally {
      show.send({ shown: 1 });
    }
  });
  const say = () => {
    const { state = "", shown_fps = 0, latency_ms = 0 } = show.status;
    text.textContent = state === "running" ? `${Math.round(shown_fps)} shown fps · ${Math.round(latency_ms)} ms` : state;
  };
  for (const name of ["state", "shown_fps", "latency_ms"]) show.onStatus(name, say);
}
