// Two validators of FHIR R4: by the profiles of R4, and by its JSON schema.
// Reads a bundle from standard input and prints the errors, each on its line.
const fs = require('fs')
const { Fhir } = require('fhir/fhir')
const SchemaValidator = require('@asymmetrik/fhir-json-schema-validator')

const bundle = JSON.parse(fs.readFileSync(0))
const fhir = new Fhir()
for (const resource of [bundle, ...bundle.entry.map((entry) => entry.resource)]) {
  for (const message of fhir.validate(resource, { errorOnUnexpected: true }).messages) {
    if (message.severity === 'error' || message.severity === 'fatal') {
      console.log(`${message.location}: ${message.message}`)
    }
  }
}
for (const error of new SchemaValidator().validate(bundle)) {
  console.log(JSON.stringify(error))
}
