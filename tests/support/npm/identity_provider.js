// An identity provider of oidc-provider; its devInteractions ask for a name, and any password counts.
// Usage: node identity_provider.js PORT NODE_URL. The name before "." is the group: "staff.jdoe".
const [port, nodeUrl] = process.argv.slice(2)

async function main () {
  const { Provider } = await import('oidc-provider')
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: 'segnode',
      client_secret: 'a+secret/with:signs%',
      redirect_uris: [`${nodeUrl}/login/oidc/callback`],
      post_logout_redirect_uris: [`${nodeUrl}/login`]
    }],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
    // As the standard has it, the ID token names the person alone; UserInfo has name and groups.
    conformIdTokenClaims: true,
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, groups: [id.split('.')[0], 'everybody'] })
    }),
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    cookies: { keys: ['only for tests'] }
  })
  provider.listen(Number(port), '127.0.0.1', () => console.log('listening'))
}

main()
