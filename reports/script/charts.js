// Charts: each is drawn when it comes near the screen, the others while nothing else happens.
{
  const config = {
    aria: false, // what it would read out is an expression made of the log's words
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: {
      labelColor: "var(--soft)", titleColor: "var(--soft)", gridColor: "var(--line)",
      domainColor: "var(--line)", tickColor: "var(--line)",
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelSeparation: 6,
    },
    legend: {
      labelColor: "var(--ink)", titleColor: "var(--soft)", orient: "bottom", symbolSize: 80, symbolOpacity: 1, symbolLimit: 0,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", labelLimit: 260,
      layout: { bottom: { anchor: "start", direction: "vertical" } },
      symbolFillColor: "var(--soft)", symbolStrokeColor: "var(--soft)",
    },
  };
  // The interpreter runs Vega's expressions where the page's policy forbids to compile them.
  const options = {
    ast: true, renderer: "svg", actions: false, defaultStyle: false, config,
    tooltip: { disableDefaultStyle: true },
  };

  // The same chart with another type of the one scale that a reader may switch.
  const switched = (spec, channel, type) => JSON.parse(JSON.stringify(spec), (key, value) => {
    if (key === channel && value && value.scale) {
      value.scale.type = type;
      if (type !== "symlog") delete value.scale.constant;
    }
    return value;
  });

  // What a chart shows is said once, by its description, and number by number below it.
  const embed = async (place, spec) => {
    await vegaEmbed(place, spec, options);
    place.setAttribute("role", "img");
    place.querySelector("svg").setAttribute("aria-hidden", "true");
  };

  const draw = async (chart) => {
    if (chart.dataset.chart || !chart.offsetParent) return;
    chart.dataset.chart = "drawing";
    const spec = JSON.parse(chart.querySelector(".spec").textContent);
    const place = chart.querySelector(".drawing");
    try {
      await embed(place, spec);
      chart.dataset.chart = "drawn";
    } catch (error) {
      place.textContent = `This chart cannot be drawn (${error.message}); its numbers stand below.`;
      chart.dataset.chart = "failed";
    }
    const buttons = [...chart.querySelectorAll(".scales button")];
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        embed(place, switched(spec, chart.dataset.channel, button.value));
      });
    }
  };

  const charts = [...document.querySelectorAll("[data-chart]")];
  if (charts.length && window.vegaEmbed) {
    document.documentElement.classList.add("charted");
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
    }, { rootMargin: "600px" });
    charts.forEach((chart) => near.observe(chart));
    const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
    const waiting = [...charts];
    const next = () => {
      const chart = waiting.shift();
      if (chart) draw(chart).then(() => idle(next));
    };
    idle(next);
  }
}
