// An authorization server of oidc-provider, and a DICOMweb server that takes its tokens alone.
// Usage: node token_server.js PORT; POST /allow or /forbid changes what a valid token may do.
const port = Number(process.argv[2])
const client = (id, method, grants) => ({
  client_id: id,
  client_secret: 'a+secret/with:signs%',
  token_endpoint_auth_method: method,
  grant_types: grants,
  redirect_uris: [],
  response_types: [],
  scope: 'dicomweb'
})

async function main () {
  const { Provider } = await import('oidc-provider')
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      client('segnode', 'client_secret_basic', ['client_credentials']),
      client('poster', 'client_secret_post', ['client_credentials']),
      client('denied', 'client_secret_basic', [])
    ],
    scopes: ['dicomweb', 'other'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      revocation: { enabled: true }
    },
    ttl: { ClientCredentials: 600 }
  })
  let allowed = true
  provider.use(async (context, next) => {
    if (context.path === '/allow' || context.path === '/forbid') {
      allowed = context.path === '/allow'
      context.status = 204
      return
    }
    if (!context.path.startsWith('/dicom-web')) return next()
    const token = (context.get('Authorization').match(/^Bearer (.+)$/) ?? [])[1]
    const known = token && await provider.ClientCredentials.find(token)
    if (!known || known.isExpired) context.status = 401
    else if (!allowed || known.scope !== 'dicomweb') context.status = 403
    else {
      context.status = 200
      context.type = 'application/dicom+json'
      context.body = '[]'
    }
  })
  provider.listen(port, '127.0.0.1', () => console.log('listening'))
}

main()
