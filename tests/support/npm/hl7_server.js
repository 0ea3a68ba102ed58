// An MLLP server of node-hl7-server: prints each message as JSON and acknowledges it with a code.
// Usage: node hl7_server.js PORT CODE
const { Server } = require('node-hl7-server')

const [port, code] = process.argv.slice(2)
const server = new Server({ bindAddress: '127.0.0.1' })
const inbound = server.createInbound({ port: Number(port) }, async (request, response) => {
  const message = request.getMessage()
  console.log(JSON.stringify({
    control_id: message.get('MSH.10').toString(),
    family_name: message.get('PID.5.1').toString(),
    results: message.get('OBX').length,
    text: message.toString()
  }))
  await response.sendResponse(code)
})
inbound.on('listen', () => console.log('listening'))
