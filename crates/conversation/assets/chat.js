(() => {
  'use strict';
  const site = location.pathname.split('/')[2];
  const base = '/widget/' + encodeURIComponent(site);
  const name = 'misybot-visitor-' + site;
  const at = (id) => document.getElementById(id);
  const [log, form, text, send, state] = ['log', 'form', 'text', 'send', 'state'].map(at);
  const shown = new Map();
  let token = null;
  let cursor = null;
  let seen = null;
  let greeted = false;

  // A page in another's frame may be denied a memory; it then forgets with its tab.
  const remember = (value) => {
    token = value;
    try {
      if (value) localStorage.setItem(name, value);
      else localStorage.removeItem(name);
    } catch { /* without a memory */ }
  };
  const recall = () => {
    try { return localStorage.getItem(name); } catch { return null; }
  };
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const newId = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');

  const call = async (method, path, body) => {
    const headers = {};
    if (token) headers.authorization = 'Bearer ' + token;
    if (body) headers['content-type'] = 'application/json';
    const answer = await fetch(base + path, {
      method, headers, body: body ? JSON.stringify(body) : undefined,
      credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer',
    });
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    const error = new Error(String(answer.status));
    error.status = answer.status;
    error.after = Number(answer.headers.get('retry-after')) || 0;
    throw error;
  };

  const begin = async () => {
    let session;
    try {
      session = await call('POST', '/sessions');
    } catch (error) {
      if (error.status !== 401) throw error;
      remember(null);
      cursor = null;
      session = await call('POST', '/sessions');
    }
    remember(session.visitor_token);
    if (session.title) {
      at('title').textContent = session.title;
      document.title = session.title;
    }
    if (session.greeting && !greeted) {
      greeted = true;
      line('greeting', 'agent', session.greeting, []);
    }
    state.textContent = '';
    send.disabled = false;
  };

  const who = { contact: 'You', agent: 'Assistant', user: 'Team', system: 'Team' };
  const line = (id, author, words, buttons) => {
    const item = document.createElement('li');
    if (author === 'contact') item.className = 'own';
    const label = document.createElement('span');
    label.className = 'who';
    label.textContent = who[author] || 'Team';
    const body = document.createElement('span');
    body.textContent = words;
    item.append(label, body);
    if (buttons.length) {
      const choices = document.createElement('div');
      choices.className = 'choices';
      for (const one of buttons) {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = one.title;
        button.addEventListener('click', () => say(one.title, one.id));
        choices.append(button);
      }
      item.append(choices);
    }
    log.append(item);
    shown.set(id, item);
    log.scrollTop = log.scrollHeight;
    return item;
  };

  const show = (message) => {
    if (shown.has(message.id)) return;
    const own = message.client_id && shown.get(message.client_id);
    if (own) {
      shown.set(message.id, own);
      return;
    }
    const content = message.content;
    const words = [content.header, content.text, content.footer].filter(Boolean).join('\n');
    const buttons = message.author === 'contact' ? [] : content.buttons || [];
    line(message.id, message.author, words, buttons);
  };

  // The same id however often it takes: it is stored once.
  const say = async (words, button) => {
    const id = newId();
    const item = line(id, 'contact', words, []);
    const body = button ? { id, text: words, button_id: button } : { id, text: words };
    for (let tries = 0; ; tries += 1) {
      try {
        await call('POST', '/messages', body);
        item.classList.remove('failed');
        state.textContent = '';
        return;
      } catch (error) {
        if (error.status === 401) await begin().catch(() => {});
        const hopeless = error.status >= 400 && error.status < 500 && error.status !== 401 && error.status !== 429;
        if (hopeless || tries === 5) {
          item.classList.add('failed');
          state.textContent = 'Your message was not sent. Please try again later.';
          return;
        }
        state.textContent = 'Sending …';
        await pause(Math.max(error.after, 1 << tries) * 1000);
      }
    }
  };

  const tellSeen = (id) => {
    if (document.visibilityState !== 'visible' || !id || id === seen) return;
    seen = id;
    call('POST', '/read', { message_id: id }).catch(() => { seen = null; });
  };

  let last = null;
  const listen = async () => {
    for (let failures = 0; ;) {
      try {
        if (!token) await begin();
        const query = cursor ? '?wait_s=10&cursor=' + encodeURIComponent(cursor) : '?wait_s=10';
        const heard = await call('GET', '/messages' + query);
        heard.data.forEach(show);
        cursor = heard.next_cursor;
        const others = heard.data.filter((one) => one.author !== 'contact');
        if (others.length) last = others[others.length - 1].id;
        tellSeen(last);
        if (failures) state.textContent = '';
        failures = 0;
      } catch (error) {
        if (error.status === 403 || error.status === 404) {
          send.disabled = true;
          state.textContent = 'This chat is not available here.';
          return;
        }
        if (error.status === 401) remember(null);
        failures += 1;
        if (failures > 1) state.textContent = 'Connecting again …';
        await pause(Math.max(error.after || 0, Math.min(30, 1 << failures)) * 1000);
      }
    }
  };

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words || send.disabled) return;
    text.value = '';
    text.focus();
    say(words);
  });
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  document.addEventListener('visibilitychange', () => tellSeen(last));

  token = recall();
  begin().catch((error) => {
    if (error.status !== 403 && error.status !== 404) return;
    state.textContent = 'This chat is not available here.';
  }).finally(listen);
})();
