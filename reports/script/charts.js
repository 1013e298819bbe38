// Charts: each is drawn when it is near the screen, the others while nothing else happens.
{
  const words = (name) => `var(--${name})`;
  const config = {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: {
      labelColor: words("soft"), titleColor: words("soft"), gridColor: words("line"),
      domainColor: words("line"), tickColor: words("line"), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal",
    },
    legend: {
      labelColor: words("ink"), titleColor: words("soft"), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal", symbolSize: 80, labelLimit: 260, orient: "bottom",
    },
    header: { labelColor: words("ink"), titleColor: words("soft"), labelFontSize: 12 },
  };
  const options = {
    ast: true, renderer: "svg", actions: false, defaultStyle: false, config,
    tooltip: { disableDefaultStyle: true },
  };

  // Another type of the one scale that a reader may switch, wherever a layer names it.
  const scaled = (spec, channel, type) => JSON.parse(JSON.stringify(spec), (key, value) => {
    if (key === channel && value && value.scale && value.scale.switched) value.scale.type = type;
    return value;
  });

  const bare = (spec) => JSON.parse(JSON.stringify(spec, (key, value) => key === "switched" ? undefined : value));

  const draw = async (figure) => {
    if (figure.dataset.drawn || !figure.offsetParent) return;
    figure.dataset.drawn = "now";
    const spec = JSON.parse(figure.querySelector("script.spec").textContent);
    const place = figure.querySelector(".drawing");
    const put = (type) => vegaEmbed(place, bare(type ? scaled(spec, figure.dataset.channel, type) : spec), options);
    try {
      await put();
      figure.dataset.drawn = "done";
    } catch (error) {
      place.textContent = `This chart cannot be drawn (${error.message}); its numbers stand below.`;
      figure.dataset.drawn = "failed";
    }
    for (const button of figure.querySelectorAll(".scales button")) {
      button.addEventListener("click", () => {
        for (const other of figure.querySelectorAll(".scales button")) {
          other.setAttribute("aria-pressed", String(other === button));
        }
        put(button.value);
      });
    }
  };

  const figures = [...document.querySelectorAll("figure[data-chart]")];
  if (figures.length && window.vegaEmbed) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
    }, { rootMargin: "600px" });
    figures.forEach((figure) => seen.observe(figure));
    const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
    const waiting = [...figures];
    const next = () => {
      const figure = waiting.shift();
      if (figure) draw(figure).then(() => idle(next));
    };
    idle(next);
  }
}
