// MQTT.js against a broker: `mqttjs_client.mjs MODULES PORT VERSION CASE`, MODULES being the folder that holds the
// package `mqtt`, VERSION being 3.1.1 or 5.0.
//
// Each case is one function of `cases`. It fails by an exception, which ends the process with a non-zero code.
// The broker is fresh: no case has to clean up after another one.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [modules, port, version, chosen] = process.argv.slice(2)
const mqtt = createRequire(join(modules, 'here.js'))('mqtt')
const v5 = version === '5.0'
const patienceMillis = 20_000

// A value that comes, or an error when it does not come in time.
function soon(what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patienceMillis)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// Items in the order in which they came, and those who wait for the next one.
class Queue {
  #items = []
  #waiting = []

  push(item) {
    const waiting = this.#waiting.shift()
    if (waiting) waiting(item)
    else this.#items.push(item)
  }

  next(what) {
    if (this.#items.length > 0) return this.#items.shift()
    return soon(what, new Promise((resolve) => this.#waiting.push(resolve)))
  }
}

// A connected client whose messages gather in a queue.
class Peer {
  static async connect(clientId, { clean = true, will, inbox = new Queue(), ...options } = {}) {
    const peer = new Peer()
    peer.clientId = clientId
    peer.inbox = inbox
    peer.client = mqtt.connect({
      host: '127.0.0.1',
      port: Number(port),
      protocolVersion: v5 ? 5 : 4,
      clientId,
      clean,
      will,
      reconnectPeriod: 0,
      resubscribe: false,
      properties: v5 ? { sessionExpiryInterval: clean ? 0 : 300 } : undefined,
      ...options,
    })
    peer.client.on('message', (topic, payload, packet) => inbox.push({ topic, payload, packet, clientId }))
    peer.client.on('disconnect', (packet) => (peer.closeReason = packet.reasonCode))
    peer.closed = new Promise((resolve) => peer.client.on('close', resolve))
    const failed = new Promise((_, reject) => peer.client.on('error', reject))
    failed.catch(() => {})
    const accepted = new Promise((resolve) => peer.client.on('connect', resolve))
    peer.connack = await soon('CONNACK', Promise.race([accepted, failed]))
    return peer
  }

  async subscribe(filter, qos = 0, options = {}) {
    const [grant] = await soon('SUBACK', this.client.subscribeAsync(filter, { qos, ...options }))
    return grant.qos
  }

  async unsubscribe(filter) {
    await soon('UNSUBACK', this.client.unsubscribeAsync(filter))
  }

  async publish(topic, payload, qos = 0, options = {}) {
    await soon('the acknowledgement', this.client.publishAsync(topic, payload, { qos, ...options }))
  }

  receive() {
    return this.inbox.next('a message')
  }

  async expect(topic, payload, qos = 0, retain = false) {
    const { packet } = await this.receive()
    const got = [packet.topic, packet.payload.toString(), packet.qos, packet.retain]
    assert.deepEqual(got, [topic, payload, qos, retain])
    return packet
  }

  // Disconnects properly.
  async leave() {
    await soon('the end', this.client.endAsync())
  }

  // Cuts the connection as a crash would.
  async vanish() {
    this.client.stream.destroy()
    await soon('the cut', this.closed)
  }
}

const cases = {
  async connect() {
    const peer = await Peer.connect('first')
    assert.equal(peer.connack.sessionPresent, false)
    await peer.leave()
    const unnamed = await Peer.connect('')
    if (v5) assert.ok(unnamed.connack.properties.assignedClientIdentifier)
    await unnamed.subscribe('a')
    await unnamed.publish('a', 'hello')
    await unnamed.expect('a', 'hello')
  },

  async unsubscribe() {
    const peer = await Peer.connect('peer')
    await peer.subscribe('a')
    await peer.subscribe('b')
    await peer.publish('a', '1')
    await peer.expect('a', '1')
    await peer.unsubscribe('a')
    await peer.publish('a', '2')
    await peer.publish('b', '3')
    await peer.expect('b', '3')
  },

  async qos_pairs() {
    const publisher = await Peer.connect('publisher')
    const subscriber = await Peer.connect('subscriber')
    for (const published of [0, 1, 2]) {
      for (const granted of [0, 1, 2]) {
        const topic = `pair/${published}/${granted}`
        assert.equal(await subscriber.subscribe(topic, granted), granted)
        await publisher.publish(topic, 'once', published)
        await publisher.publish(topic, 'again', published)
        await subscriber.expect(topic, 'once', Math.min(published, granted))
        await subscriber.expect(topic, 'again', Math.min(published, granted))
      }
    }
  },

  async retained() {
    const publisher = await Peer.connect('publisher')
    const live = await Peer.connect('live')
    await live.subscribe('state/#', 1)
    for (const payload of ['on', 'off']) {
      await publisher.publish('state/lamp', payload, 1, { retain: true })
      await live.expect('state/lamp', payload, 1, false)
      const late = await Peer.connect(`late-${payload}`)
      await late.subscribe('state/+', 1)
      await late.expect('state/lamp', payload, 1, true)
    }
    await publisher.publish('state/lamp', '', 1, { retain: true })
    await live.expect('state/lamp', '', 1)
    const after = await Peer.connect('after')
    await after.subscribe('state/#', 1)
    await publisher.publish('state/end', 'end', 1)
    await after.expect('state/end', 'end', 1)
  },

  async will() {
    const watcher = await Peer.connect('watcher')
    await watcher.subscribe('will/#', 1)
    const polite = await Peer.connect('polite', { will: { topic: 'will/polite', payload: 'never', qos: 1 } })
    await polite.leave()
    const will = { topic: 'will/crashed', payload: 'gone', qos: 1, retain: true }
    const crashed = await Peer.connect('crashed', { will })
    await crashed.vanish()
    await watcher.expect('will/crashed', 'gone', 1)
    const late = await Peer.connect('late')
    await late.subscribe('will/#', 1)
    await late.expect('will/crashed', 'gone', 1, true)
  },

  async wildcards() {
    const publisher = await Peer.connect('publisher')
    const topics = ['a', 'a/b', 'a/b/c', 'a//c', 'b', '/b', 'b/', 'b/c/d', 'c', 'c/x/y/z', 'd/e']
    const wanted = {
      'a/#': ['a', 'a/b', 'a/b/c', 'a//c'],
      'a/+': ['a/b'],
      'a/+/c': ['a/b/c', 'a//c'],
      '+': ['a', 'b', 'c'],
      '+/b': ['a/b', '/b'],
      'b/+': ['b/'],
      '+/+/d': ['b/c/d'],
      'c/+/+/#': ['c/x/y/z'],
      '#': topics,
    }
    const end = 'end/of/it/all'
    const peers = {}
    for (const filter of Object.keys(wanted)) {
      peers[filter] = await Peer.connect(`subscriber ${filter}`)
      await peers[filter].subscribe(filter)
      await peers[filter].subscribe(end)
    }
    for (const topic of [...topics, end]) await publisher.publish(topic, topic)
    for (const [filter, peer] of Object.entries(peers)) {
      const got = []
      for (;;) {
        const { topic } = await peer.receive()
        if (topic === end) break
        got.push(topic)
      }
      assert.deepEqual([filter, ...got], [filter, ...wanted[filter]])
    }
  },

  async shared() {
    const publisher = await Peer.connect('publisher')
    const plain = await Peer.connect('plain')
    await plain.subscribe('job/+', 1)
    const inbox = new Queue()
    const members = [await Peer.connect('member-0', { inbox }), await Peer.connect('member-1', { inbox })]
    for (const member of members) await member.subscribe('$share/crew/job/+', 1)
    const jobs = Array.from({ length: 40 }, (_, number) => `${number}`)
    for (const job of jobs) await publisher.publish('job/dig', job, 1)
    for (const job of jobs) await plain.expect('job/dig', job, 1)
    const done = []
    while (done.length < jobs.length) done.push(await inbox.next('a job'))
    const payloads = done.map(({ payload }) => payload.toString())
    assert.deepEqual(payloads.sort((a, b) => a - b), jobs)
    assert.equal(new Set(done.map(({ clientId }) => clientId)).size, 2, 'one member got every job')
    // A job that was not acknowledged would rightly go to the other member: the UNSUBACK comes after all PUBACKs left.
    await members[0].unsubscribe('$share/crew/job/+')
    await members[0].leave()
    for (const job of jobs) await publisher.publish('job/dig', job, 1)
    for (const job of jobs) await members[1].expect('job/dig', job, 1)
  },

  async takeover() {
    const first = await Peer.connect('twin')
    const second = await Peer.connect('twin')
    await soon('the end of the older connection', first.closed)
    if (v5) assert.equal(first.closeReason, 0x8e)
    await second.subscribe('a', 2)
    await second.publish('a', 'mine', 2)
    await second.expect('a', 'mine', 2)
    assert.ok(second.client.connected)
  },

  async persistent_session() {
    const publisher = await Peer.connect('publisher')
    let sleeper = await Peer.connect('sleeper', { clean: false })
    assert.equal(sleeper.connack.sessionPresent, false)
    await sleeper.subscribe('news/1', 1)
    await sleeper.subscribe('news/2', 2)
    await sleeper.leave()
    const numbers = Array.from({ length: 50 }, (_, number) => `${number}`)
    for (const number of numbers) {
      await publisher.publish('news/1', number, 1)
      await publisher.publish('news/2', number, 2)
    }
    sleeper = await Peer.connect('sleeper', { clean: false })
    assert.equal(sleeper.connack.sessionPresent, true)
    const got = { 'news/1': [], 'news/2': [] }
    for (let count = 0; count < 2 * numbers.length; count += 1) {
      const { topic, payload, packet } = await sleeper.receive()
      assert.equal(packet.qos, Number(topic.at(-1)))
      got[topic].push(payload.toString())
    }
    assert.deepEqual(got, { 'news/1': numbers, 'news/2': numbers })
    await publisher.publish('news/1', 'live', 1)
    await sleeper.expect('news/1', 'live', 1)
    await sleeper.leave()
    assert.equal((await Peer.connect('sleeper')).connack.sessionPresent, false)
  },

  async large_payload() {
    const peer = await Peer.connect('peer')
    await peer.subscribe('big', 2)
    const payload = '0123456789abcdef'.repeat(65_536)
    await peer.publish('big', payload, 2)
    assert.ok((await peer.receive()).payload.toString() === payload)
  },

  // 5.0: what a publisher attaches arrives unchanged, and the subscription's identifier with it.
  async properties() {
    const publisher = await Peer.connect('publisher')
    const subscriber = await Peer.connect('subscriber')
    await subscriber.subscribe('ask', 1, { properties: { subscriptionIdentifier: 268_435_455 } })
    const sent = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'answer',
      correlationData: Buffer.from([0, 1]),
      userProperties: { key: ['one', 'two'] },
    }
    await publisher.publish('ask', 'question', 1, { properties: { ...sent, messageExpiryInterval: 1000 } })
    const { properties } = await subscriber.expect('ask', 'question', 1)
    const { messageExpiryInterval, subscriptionIdentifier, ...rest } = properties
    assert.ok(messageExpiryInterval >= 990 && messageExpiryInterval <= 1000)
    assert.equal(subscriptionIdentifier, 268_435_455)
    assert.deepEqual({ ...rest, userProperties: { ...rest.userProperties } }, sent)
  },

  // 5.0: topics are numbered both ways without a word from the user.
  async topic_alias() {
    const publisher = await Peer.connect('publisher', { autoAssignTopicAlias: true })
    const properties = { sessionExpiryInterval: 0, topicAliasMaximum: 5 }
    const subscriber = await Peer.connect('subscriber', { properties })
    assert.ok(publisher.connack.properties.topicAliasMaximum >= 1)
    await subscriber.subscribe('a/#', 1)
    for (const payload of ['1', '2', '3']) {
      await publisher.publish('a/long/topic', payload, 1)
      await publisher.publish('a/second/topic', payload, 1)
    }
    for (const payload of ['1', '2', '3']) {
      assert.equal((await subscriber.receive()).topic, 'a/long/topic')
      const { topic, payload: got } = await subscriber.receive()
      assert.deepEqual([topic, got.toString()], ['a/second/topic', payload])
    }
  },

  // 5.0: No Local, Retain As Published and Retain Handling.
  async subscription_options() {
    const peer = await Peer.connect('peer')
    const other = await Peer.connect('other')
    await other.publish('old', 'kept', 1, { retain: true })
    await peer.subscribe('own', 1, { nl: true })
    await peer.subscribe('old', 1, { rh: 2 })
    await peer.subscribe('flag', 1, { rap: true })
    await peer.publish('own', 'not for me', 1)
    await other.publish('flag', 'flagged', 1, { retain: true })
    await peer.expect('flag', 'flagged', 1, true)
    await other.publish('own', 'for you', 1)
    await peer.expect('own', 'for you', 1)
    await peer.subscribe('old', 1, { rh: 1 })
    await other.publish('own', 'still nothing old', 1)
    await peer.expect('own', 'still nothing old', 1)
  },
}

await cases[chosen]()
process.exit(0)
